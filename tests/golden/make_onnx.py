"""Makes `onnx_*.npz`: what ONNX Runtime gives for single nodes of the operators LSTM, GRU and RNN, in float32.

Run it from anywhere, in an environment that has onnx, onnxruntime and numpy:

    python tests/golden/make_onnx.py [--out FOLDER]

The files beside this script were made by onnx 1.23.2 and onnxruntime 1.32.0 (CPU), opset 14. Every
number drawn comes from a NumPy generator seeded by the case's place in `CASES`, so a rerun gives
the same files up to rounding in ONNX Runtime. `README.md` lists the keys.

No row has length 0: the operators' specification does not say what `Y_h` is then, and ONNX Runtime
gives zeros where seqjax holds the initial state.
"""

import argparse
import dataclasses
import pathlib

import numpy as np
import onnx
import onnxruntime

STEPS, BATCH, INPUT_SIZE, HIDDEN_SIZE = 6, 4, 3, 4
OPSET, IR_VERSION = 14, 8
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}


@dataclasses.dataclass(frozen=True)
class Case:
    """One node, one file."""

    name: str
    op: str
    direction: str = "forward"
    lengths: tuple[int, ...] | None = None
    bias: bool = True
    initial_state: bool = True
    peephole: bool = False  # LSTM
    input_forget: int = 0  # LSTM
    linear_before_reset: int = 0  # GRU
    activation: str = "Tanh"  # RNN


CASES = (
    Case("lstm_forward", "LSTM"),
    Case("lstm_forward_bare", "LSTM", bias=False, initial_state=False),
    Case("lstm_forward_lens", "LSTM", lengths=(4, 6, 1, 3), initial_state=False),
    Case("lstm_reverse_lens", "LSTM", "reverse", lengths=(6, 1, 4, 2)),
    Case("lstm_forward_peephole", "LSTM", peephole=True),
    Case(
        "lstm_bidirectional_peephole_lens",
        "LSTM",
        "bidirectional",
        lengths=(1, 5, 6, 3),
        peephole=True,
    ),
    Case("lstm_forward_input_forget", "LSTM", input_forget=1),
    Case(
        "lstm_bidirectional_input_forget_peephole_lens",
        "LSTM",
        "bidirectional",
        lengths=(5, 1, 2, 6),
        peephole=True,
        input_forget=1,
    ),
    Case("gru_forward_before", "GRU"),
    Case("gru_forward_after", "GRU", linear_before_reset=1),
    Case("gru_forward_after_bare", "GRU", linear_before_reset=1, bias=False, initial_state=False),
    Case("gru_reverse_after_lens", "GRU", "reverse", lengths=(2, 6, 1, 4), linear_before_reset=1),
    Case("gru_bidirectional_before_lens", "GRU", "bidirectional", lengths=(3, 1, 6, 5)),
    # Nobody is as long as the sequence here: the padding goes on past the longest row.
    Case(
        "gru_bidirectional_after_lens",
        "GRU",
        "bidirectional",
        lengths=(4, 2, 5, 1),
        linear_before_reset=1,
    ),
    Case("rnn_forward_tanh", "RNN"),
    Case("rnn_reverse_tanh_lens", "RNN", "reverse", lengths=(1, 6, 4, 2)),
    Case(
        "rnn_forward_relu_lens", "RNN", lengths=(6, 3, 1, 5), initial_state=False, activation="Relu"
    ),
    Case(
        "rnn_bidirectional_relu_lens",
        "RNN",
        "bidirectional",
        lengths=(2, 4, 6, 1),
        activation="Relu",
    ),
)


def directions(case: Case) -> int:
    return 2 if case.direction == "bidirectional" else 1


def draw_inputs(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The inputs of the node, those that the case has; weights are wide enough to bend every nonlinearity."""
    rows, gate_width = directions(case), GATES[case.op] * HIDDEN_SIZE

    def draw(scale: float, *shape: int) -> np.ndarray:
        return rng.normal(scale=scale, size=shape).astype(np.float32)

    inputs = {
        "X": draw(1.0, STEPS, BATCH, INPUT_SIZE),
        "W": draw(0.6, rows, gate_width, INPUT_SIZE),
        "R": draw(0.6, rows, gate_width, HIDDEN_SIZE),
    }
    if case.bias:
        inputs["B"] = draw(0.6, rows, 2 * gate_width)
    if case.peephole:
        inputs["P"] = draw(0.6, rows, 3 * HIDDEN_SIZE)
    if case.initial_state:
        inputs["initial_h"] = draw(1.0, rows, BATCH, HIDDEN_SIZE)
        if case.op == "LSTM":
            inputs["initial_c"] = draw(1.0, rows, BATCH, HIDDEN_SIZE)
    if case.lengths is not None:
        inputs["sequence_lens"] = np.asarray(case.lengths, np.int32)
    return inputs


def attributes(case: Case) -> dict[str, int | str]:
    """The attributes of a file; `activation` becomes the node's list `activations`."""
    common = {"direction": case.direction, "hidden_size": HIDDEN_SIZE}
    match case.op:
        case "LSTM":
            return common | {"input_forget": case.input_forget}
        case "GRU":
            return common | {"linear_before_reset": case.linear_before_reset}
        case "RNN":
            return common | {"activation": case.activation}
        case _:
            raise ValueError(f"unknown operator {case.op!r}")


def build_model(case: Case, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A graph of one node; an input that the case leaves out has an empty name, as ONNX wants it."""
    options = attributes(case)
    if "activation" in options:
        options["activations"] = [options.pop("activation")] * directions(case)
    names = [name if name in inputs else "" for name in INPUTS[case.op]]
    node = onnx.helper.make_node(case.op, names, OUTPUTS[case.op], **options)

    def describe(name: str, dtype: np.dtype, shape: tuple[int | None, ...]) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape
        )

    graph = onnx.helper.make_graph(
        [node],
        case.name,
        [describe(name, array.dtype, array.shape) for name, array in inputs.items()],
        [
            describe(name, np.dtype(np.float32), (None,) * (4 if name == "Y" else 3))
            for name in OUTPUTS[case.op]
        ],
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def make(case: Case, seed: int) -> dict[str, np.ndarray]:
    """All arrays of one file."""
    inputs = draw_inputs(case, np.random.default_rng(seed))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = build_model(case, inputs).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = dict(zip(OUTPUTS[case.op], session.run(OUTPUTS[case.op], inputs), strict=True))
    described = {
        name: np.asarray(value) for name, value in ({"op": case.op} | attributes(case)).items()
    }
    return inputs | outputs | described


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Make the golden files of ONNX Runtime's recurrent operators."
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    for seed, case in enumerate(CASES):
        np.savez(out / f"onnx_{case.name}.npz", **make(case, seed))


if __name__ == "__main__":
    main()
