"""What a device is worth to recurrent networks, in at most eight minutes: `python benchmarks/accelerator.py`.

On whatever device JAX finds, a GPU, a TPU or a CPU, it

1. checks the eight laws of fourteen recurrences;
2. compares the backends with the plain scan, values and gradients, in float32 with products of full
   precision and in bfloat16, with lengths and with resets;
3. times five shapes of an LSTM and a GRU, forwards and in training, beside Flax's `nn.RNN`;
4. trains the network of `experiments.char_lm` for a minute on the sources of seqjax.

It prints a table and writes `accelerator.json`. Each part ends at its share of `--minutes`; what
was left out is named. A law that is broken, or a part that fails, is a line of the report, and the
exit code is 1.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from recurrent_layers import SHAPES, jax_calls, seconds

import seqjax
import seqjax.testing
from seqjax import text, training
from seqjax.kernels import explain

RECURRENCES = {
    "Elman": seqjax.Elman(4),
    "LSTM": seqjax.LSTM(4),
    "GRU": seqjax.GRU(4),
    "LSTM, layer norm": seqjax.LSTM(4, layer_norm=True),
    "GRU, reset before": seqjax.GRU(4, reset="before"),
    "LRU": seqjax.LRU(4),
    "MinGRU": seqjax.MinGRU(4),
    "MinLSTM": seqjax.MinLSTM(4),
    "RGLRU": seqjax.RGLRU(4),
    "SLSTM": seqjax.SLSTM(4, heads=2),
    "MLSTM": seqjax.MLSTM(4, heads=2, chunk_size=4),
    "IndRNN": seqjax.IndRNN(4),
    "both ways": seqjax.bidirectional(seqjax.GRU(4)),
    "stack": seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4)),
}
CELLS = {"elman": seqjax.Elman, "lstm": seqjax.LSTM, "gru": seqjax.GRU}
FLAX = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}
BOUNDS = {"float32": 1e-4, "bfloat16": 5e-2}
"""How far a backend may be from the plain scan, relative to the largest number."""

SHARES = {"laws": 0.4, "backends": 0.6, "times": 0.85}
"""The part of the time after which each part ends."""


def check_laws() -> Iterator[dict[str, Any]]:
    """Whether each recurrence keeps the laws; of the device's own rounding 1e-4 is allowed."""
    for name, recurrence in RECURRENCES.items():
        with jax.default_matmul_precision("highest"):
            try:
                seqjax.testing.check_laws(recurrence, tolerance=1e-4)
                found = "holds"
            except AssertionError as error:
                found = " ".join(str(error).split())[:200]
        yield {"recurrence": name, "found": found, "right": found == "holds"}


def compare_backends() -> Iterator[dict[str, Any]]:
    """How far value and gradient of each backend are from the plain scan's."""
    lengths = jnp.array([9, 4, 0, 7])
    reset = jnp.zeros((4, 9), bool).at[0, 3].set(True).at[3, 5].set(True)
    hows = {"plain": {}, "lengths": {"lengths": lengths}, "resets": {"reset": reset}}
    for (cell, make), dtype, (how, given) in itertools.product(CELLS.items(), BOUNDS, hows.items()):
        layer = make(128)
        params = layer.init(jax.random.key(0), 16)
        xs = jax.random.normal(jax.random.key(1), (4, 9, 16))
        params, xs = training.cast_floating((params, xs), jnp.dtype(dtype))
        found = {}
        for backend in ("scan", "auto", "fused", "cudnn", "pallas"):

            def score(params, xs, backend=backend, layer=layer, given=given):
                _, ys = seqjax.unroll(layer, params, xs, backend=backend, **given)
                return jnp.sin(ys.astype(jnp.float32)).sum(), ys

            with jax.default_matmul_precision("highest"):
                run = jax.jit(jax.value_and_grad(score, (0, 1), has_aux=True))
                (_, ys), gradients = run(params, xs)
            found[backend] = [np.asarray(leaf, "f8") for leaf in jax.tree.leaves((ys, gradients))]
            ran = explain(layer, jnp.dtype(dtype), backend=backend).split(": ")[1].split(",")[0]
            if backend == "scan":
                continue
            far = max(
                float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
                for a, b in zip(found[backend], found["scan"], strict=True)
            )
            about = {"cell": cell, "dtype": dtype, "rows": how, "asked for": backend, "ran": ran}
            yield about | {"off by": far, "right": far < BOUNDS[dtype]}


def time_layers() -> Iterator[dict[str, Any]]:
    """Milliseconds of each shape, here and in Flax, which take turns."""
    for (shape, sizes), cell in itertools.product(SHAPES.items(), FLAX):
        batch, steps, features, units = sizes
        layer, peer = CELLS[cell](units), nn.RNN(FLAX[cell](units), time_major=True)
        xs = jax.random.normal(jax.random.key(1), (steps, batch, features))

        def run(params, xs, layer=layer):
            return seqjax.unroll(layer, params, xs, time_major=True)[1]

        ours = jax_calls(run, layer.init(jax.random.key(0), features), xs)
        theirs = jax_calls(peer.apply, peer.init(jax.random.key(0), xs), xs)
        for kind in ours:
            taken = [(seconds(ours[kind]), seconds(theirs[kind])) for _ in range(7)][2:]
            mine, other = (1e3 * statistics.median(column) for column in zip(*taken, strict=True))
            about = {"shape": shape, "sizes": sizes, "cell": cell, "pass": kind}
            yield about | {"ms": mine, "flax, ms": other, "times Flax": other / mine, "right": True}


def train_char_lm(minutes: float) -> dict[str, Any]:
    """Characters a second, and the loss at first and at last, on the sources of seqjax."""
    folder = Path(seqjax.__file__).parent
    sources = "".join(path.read_text() for path in sorted(folder.rglob("*.py")))
    recurrence = seqjax.stack(seqjax.LSTM(256), seqjax.LSTM(256), dropout=0.3)
    task = text.LanguageModel.of(sources, recurrence, embedding_size=128, window=100)
    recipe = training.Recipe(
        steps=10**6, batch_size=64, learning_rate=2e-3, schedule="constant", every=5
    )
    ends = time.monotonic() + 60 * minutes
    losses, times = [], []

    def note(event: training.Event) -> bool:
        if event.kind == "step":
            losses.append(event.metrics["loss"])
            times.append(time.monotonic())
        return event.kind == "evaluation" and time.monotonic() > ends

    trained = training.fit(task, sources, recipe=recipe, callbacks=[note], quiet=True)
    # Without the first steps, which compile.
    rate = 64 * 100 * (len(times) - 3) / (times[-1] - times[2])
    return {
        "steps": len(losses),
        "characters a second": rate,
        "nats of the first step": losses[0],
        "nats of the last ten": float(np.mean(losses[-10:])),
        "written": trained.predict(["def "], max_length=60)[0],
        "right": float(np.mean(losses[-10:])) < losses[0],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="in all")
    parser.add_argument("--out", default="accelerator.json", help="file to write")
    args = parser.parse_args()
    began, device = time.monotonic(), jax.devices()[0]
    report: dict[str, Any] = {
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
        "versions": {"jax": jax.__version__, "seqjax": seqjax.__version__},
        "left out": [],
    }
    print(report["device"], flush=True)
    parts = {"laws": check_laws, "backends": compare_backends, "times": time_layers}
    for name, part in parts.items():
        ends = began + 60 * args.minutes * SHARES[name]
        report[name] = []
        for row in guarded(part):
            report[name].append(row)
            print(f"{name}: {told(row)}", flush=True)
            if time.monotonic() > ends:
                report["left out"].append(f"{name} after {told(row)}")
                break
    left = args.minutes - (time.monotonic() - began) / 60
    (report["char_lm"],) = guarded(lambda: iter([train_char_lm(max(0.1, min(1.0, left)))]))
    print(f"char_lm: {told(report['char_lm'])}")
    report["minutes"] = (time.monotonic() - began) / 60
    rows = [*itertools.chain(*(report[name] for name in parts)), report["char_lm"]]
    wrong = [row for row in rows if not row["right"]]
    report["wrong"] = len(wrong)
    Path(args.out).write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(rows) - len(wrong)} of {len(rows)} right, {report['minutes']:.1f} minutes")
    for line in report["left out"]:
        print(f"left out: {line}")
    return int(bool(wrong))


def guarded(part: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The rows of a part; the last is its error, where it fails."""
    try:
        yield from part()
    except Exception as error:
        yield {
            "failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "right": False,
        }


def told(row: dict[str, Any]) -> str:
    """A row as words."""
    words = []
    for name, value in row.items():
        if name != "right":
            words.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value!r}")
    return ", ".join(words) + ("" if row["right"] else "  WRONG")


if __name__ == "__main__":
    raise SystemExit(main())
