"""Makes `torch_*.npz`: what PyTorch's recurrent layers give, values and gradients, in float64.

Run it from anywhere, in an environment that has torch and numpy:

    python tests/golden/make_torch.py [--out FOLDER]

The files beside this script were made by torch 2.13.0 (CPU). Every number drawn comes from a NumPy
generator seeded by the case's place in `CASES`, so a rerun gives the same files up to rounding in
torch. `README.md` lists the keys.
"""

import argparse
import dataclasses
import pathlib

import numpy as np
import torch

BATCH, INPUT_SIZE = 4, 3


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer, one batch, one file."""

    name: str
    op: str  # "rnn_tanh", "rnn_relu", "lstm" or "gru"
    hidden_size: int = 4
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    steps: int = 6
    lengths: tuple[int, ...] | None = None  # None: nothing is packed
    initial_state: bool = True  # False: torch supplies its own, zeros


CASES = (
    Case("rnn_tanh_1layer", "rnn_tanh"),
    Case(
        "rnn_tanh_2layer_bi_packed",
        "rnn_tanh",
        5,
        num_layers=2,
        bidirectional=True,
        lengths=(4, 6, 1, 5),
    ),
    Case("rnn_relu_1layer_packed", "rnn_relu", 5, lengths=(6, 2, 1, 4)),
    Case(
        "rnn_relu_3layer_bi_no_state",
        "rnn_relu",
        num_layers=3,
        bidirectional=True,
        steps=5,
        initial_state=False,
    ),
    Case("lstm_1layer", "lstm", 5, steps=7),
    Case("lstm_1layer_no_state_packed", "lstm", lengths=(3, 6, 1, 6), initial_state=False),
    Case("lstm_2layer", "lstm", num_layers=2),
    Case("lstm_1layer_bi_packed", "lstm", 5, bidirectional=True, lengths=(2, 6, 5, 1)),
    Case(
        "lstm_3layer_bi_packed",
        "lstm",
        num_layers=3,
        bidirectional=True,
        steps=7,
        lengths=(1, 4, 7, 3),
    ),
    Case("lstm_1layer_proj", "lstm", 5, proj_size=3),
    Case(
        "lstm_2layer_bi_proj_packed",
        "lstm",
        num_layers=2,
        bidirectional=True,
        proj_size=2,
        lengths=(6, 1, 3, 5),
    ),
    Case("gru_1layer", "gru", 5, steps=7),
    Case("gru_1layer_packed", "gru", lengths=(1, 5, 2, 6)),
    Case("gru_2layer_no_state", "gru", num_layers=2, steps=5, initial_state=False),
    Case("gru_1layer_bi_packed", "gru", 5, bidirectional=True, lengths=(4, 1, 6, 3)),
    # Nobody is as long as the sequence here: the padding goes on past the longest row.
    Case(
        "gru_3layer_bi_packed_short",
        "gru",
        num_layers=3,
        bidirectional=True,
        steps=7,
        lengths=(3, 5, 1, 4),
    ),
)


def build_module(case: Case, rng: np.random.Generator) -> torch.nn.RNNBase:
    """The layer of a case, its parameters drawn from `rng` and wide enough to bend every nonlinearity."""
    options = dict(
        num_layers=case.num_layers,
        bidirectional=case.bidirectional,
        batch_first=True,
        dtype=torch.float64,
    )
    match case.op:
        case "rnn_tanh" | "rnn_relu":
            module = torch.nn.RNN(
                INPUT_SIZE, case.hidden_size, nonlinearity=case.op[len("rnn_") :], **options
            )
        case "lstm":
            module = torch.nn.LSTM(
                INPUT_SIZE, case.hidden_size, proj_size=case.proj_size, **options
            )
        case "gru":
            module = torch.nn.GRU(INPUT_SIZE, case.hidden_size, **options)
        case _:
            raise ValueError(f"unknown layer {case.op!r}")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(scale=0.5, size=tuple(parameter.shape))))
    return module


def draw_state(case: Case, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Initial states as torch takes them: `(h0,)`, or `(h0, c0)` for an LSTM."""
    rows = case.num_layers * (2 if case.bidirectional else 1)
    widths = [case.proj_size or case.hidden_size]
    if case.op == "lstm":
        widths.append(case.hidden_size)
    return tuple(
        torch.from_numpy(rng.normal(size=(rows, BATCH, width))).requires_grad_() for width in widths
    )


def run(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    lengths: tuple[int, ...] | None,
    state: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """`(y [B, T, ...], final states)`; with `lengths`, `y` is zero past the end of each row."""
    hx = None
    if state:
        hx = state if isinstance(module, torch.nn.LSTM) else state[0]

    if lengths is None:
        y, final = module(x, hx)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        packed_y, final = module(packed, hx)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(
            packed_y, batch_first=True, total_length=x.shape[1]
        )
    return y, final if isinstance(final, tuple) else (final,)


def make(case: Case, seed: int) -> dict[str, np.ndarray]:
    """All arrays of one file."""
    rng = np.random.default_rng(seed)
    module = build_module(case, rng)
    x = torch.from_numpy(rng.normal(size=(BATCH, case.steps, INPUT_SIZE))).requires_grad_()
    state = draw_state(case, rng) if case.initial_state else ()
    y, final = run(module, x, case.lengths, state)

    cot_y = torch.from_numpy(rng.normal(size=tuple(y.shape)))
    cot_final = tuple(torch.from_numpy(rng.normal(size=tuple(each.shape))) for each in final)
    scalar = (y * cot_y).sum() + sum(
        (each * cot).sum() for each, cot in zip(final, cot_final, strict=True)
    )
    scalar.backward()

    arrays = {"x": x, "y": y, "cot_y": cot_y, "grad_x": x.grad}
    for letter, each, cot in zip("hc", final, cot_final, strict=False):
        arrays |= {f"{letter}n": each, f"cot_{letter}n": cot}
    for letter, each in zip("hc", state, strict=False):
        arrays |= {f"{letter}0": each, f"grad_{letter}0": each.grad}
    for name, parameter in module.named_parameters():
        arrays |= {f"param/{name}": parameter, f"grad/{name}": parameter.grad}

    tables = {name: array.detach().numpy() for name, array in arrays.items()}
    for name in ("hidden_size", "num_layers", "bidirectional", "proj_size"):
        tables[name] = np.asarray(getattr(case, name))
    if case.lengths is not None:
        tables["lengths"] = np.asarray(case.lengths, np.int32)
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Make the golden files of PyTorch's recurrent layers."
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)  # the order of a sum is then always the same
    for seed, case in enumerate(CASES):
        np.savez(out / f"torch_{case.name}.npz", **make(case, seed))


if __name__ == "__main__":
    main()
