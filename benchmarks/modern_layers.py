"""Layers of today, forwards and in training, beside a loop of steps and PyTorch's implementations.

    pip install torch transformers xlstm mlstm_kernels minGRU-pytorch    # in an environment of their own
    python benchmarks/modern_layers.py --python PYTHON

For each layer: `seqjax.unroll` as it comes (mLSTM chunk by chunk, RG-LRU and MinGRU as linear scans,
MGU with its weights' gradients after the loop), the same by `backend="scan"`, a loop
over the step under plain autodiff; and a published implementation: of sLSTM the xlstm package's
without CUDA, of mLSTM the chunkwise one of mlstm_kernels with a backward pass of its own, of RG-LRU
the RecurrentGemma of transformers, of MinGRU minGRU-pytorch, of MGU Flax's `MGUCell`. Each peer is
a process of its own and alive throughout; they take turns, a ratio is that of neighbours in one
round, its median over all rounds is told. Shapes are batch, steps, features and units.
"""

import argparse
import statistics
import sys

from recurrent_layers import Peer, flax_calls_of, jax_calls, serve_calls

SHAPES = {"f": (8, 512, 128, 256), "g": (1, 4096, 128, 256)}
HEADS = 4
RIVALS = {"slstm": "torch", "mlstm": "torch", "rglru": "torch", "min_gru": "torch", "mgu": "flax"}


def seqjax_calls(backend: str, shape: str, cell: str):
    import jax

    import seqjax

    batch, steps, features, units = SHAPES[shape]
    layers = {
        "slstm": lambda: seqjax.SLSTM(units, heads=HEADS),
        "mlstm": lambda: seqjax.MLSTM(units, heads=HEADS),
        "rglru": lambda: seqjax.RGLRU(units),
        "min_gru": lambda: seqjax.MinGRU(units),
        "mgu": lambda: seqjax.MGU(units),
    }
    layer = layers[cell]()
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))

    def run(params, xs):
        return seqjax.unroll(layer, params, xs, backend=backend, time_major=True)[1]

    return jax_calls(run, layer.init(jax.random.key(0), features), xs)


def torch_calls(shape: str, cell: str, threads: int):
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    batch, steps, features, units = SHAPES[shape]
    layer, parameters = {
        "slstm": torch_slstm,
        "mlstm": torch_mlstm,
        "rglru": torch_rglru,
        "min_gru": torch_min_gru,
    }[cell](features, units)
    xs = torch.randn(batch, steps, features, requires_grad=True)

    def forward():
        with torch.no_grad():
            layer(xs)

    def train():
        for leaf in (*parameters, xs):
            leaf.grad = None
        layer(xs).sum().backward()

    return {"forward": forward, "training": train}


def torch_slstm(features: int, units: int):
    """The cell without CUDA, behind the product with its inputs."""
    import torch  # pyright: ignore[reportMissingImports]
    from xlstm.blocks.slstm.cell import (  # pyright: ignore[reportMissingImports]
        sLSTMCell,
        sLSTMCellConfig,
    )

    config = sLSTMCellConfig(hidden_size=units, num_heads=HEADS, backend="vanilla")
    cell, into = sLSTMCell(config), torch.nn.Linear(features, 4 * units)
    return lambda xs: cell(into(xs))[0], [*cell.parameters(), *into.parameters()]


def torch_mlstm(features: int, units: int):
    """Projections, and the chunkwise memory."""
    import torch  # pyright: ignore[reportMissingImports]
    from mlstm_kernels.torch.chunkwise import native  # pyright: ignore[reportMissingImports]

    into, gates = torch.nn.Linear(features, 4 * units), torch.nn.Linear(features, 2 * HEADS)

    def by_head(a):
        return a.unflatten(-1, (HEADS, -1)).transpose(1, 2).contiguous()

    def layer(xs):
        q, k, v, o = into(xs).chunk(4, -1)
        i, f = gates(xs).transpose(1, 2).contiguous().chunk(2, 1)
        rest = i.contiguous(), f.contiguous()
        h = native.mlstm_chunkwise__native_custbw(*map(by_head, (q, k, v)), *rest, chunk_size=64)
        return torch.sigmoid(o) * h.transpose(1, 2).flatten(-2)

    return layer, [*into.parameters(), *gates.parameters()]


def torch_rglru(features: int, units: int):
    """The linear layer that stands before the unit, and the unit."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import RecurrentGemmaConfig  # pyright: ignore[reportMissingImports]
    from transformers.models.recurrent_gemma import (  # pyright: ignore[reportMissingImports]
        modeling_recurrent_gemma,
    )

    config = RecurrentGemmaConfig(hidden_size=units, lru_width=units, num_attention_heads=1)
    unit, into = (
        modeling_recurrent_gemma.RecurrentGemmaRglru(config),
        torch.nn.Linear(features, units),
    )
    for leaf in unit.parameters():
        torch.nn.init.normal_(leaf, std=0.1)

    def layer(xs):
        unit.recurrent_states = None
        return unit(into(xs), torch.arange(xs.shape[1])[None])

    return layer, [*unit.parameters(), *into.parameters()]


def torch_min_gru(features: int, units: int):
    """The parallel form in logarithms, behind a linear layer, for it has as many units as features."""
    import torch  # pyright: ignore[reportMissingImports]
    from minGRU_pytorch import minGRU  # pyright: ignore[reportMissingImports]

    cell = minGRU(features, expansion_factor=units / features, proj_out=False)
    cell.to_out = torch.nn.Identity()
    return cell, list(cell.parameters())


def calls_of(peer: str, shape: str, cell: str, threads: int):
    """What a peer can do with a layer, each as a function that waits for its result."""
    if peer == "torch":
        return torch_calls(shape, cell, threads)
    if peer == "flax":
        return flax_calls_of("MGUCell", SHAPES[shape])
    return seqjax_calls({"seqjax": "auto", "steps": "scan"}[peer], shape, cell)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--cells", nargs="+", choices=tuple(RIVALS), default=tuple(RIVALS))
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.serve:
        serve_calls(args.serve, args.threads, calls_of)
        return
    pythons = {"torch": args.python}
    peers = {
        name: Peer(name, pythons.get(name, sys.executable), args.threads, __file__)
        for name in ("seqjax", "steps", "flax", "torch")
    }
    print("| layer | shape | pass | seqjax, ms | times a loop of steps | times the rival |")
    print("|---|---|---|---|---|---|")
    for cell in args.cells:
        three = [peers[name] for name in ("seqjax", "steps", RIVALS[cell])]
        for shape in args.shapes:
            for peer in three:
                peer.measure(shape, cell)  # compiles
            rounds = [[peer.measure(shape, cell) for peer in three] for _ in range(args.rounds)]
            for kind in ("forward", "training"):
                ours = statistics.median(r[0][kind] for r in rounds)
                steps, rival = (
                    statistics.median(r[other][kind] / r[0][kind] for r in rounds)
                    for other in (1, 2)
                )
                print(
                    f"| {cell} | {shape} | {kind} | {1e3 * ours:.1f} | {steps:.2f} | {rival:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
