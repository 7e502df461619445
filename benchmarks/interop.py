"""A step and a hundred at batch 1, in and outside of Python: `python benchmarks/interop.py`.

    python benchmarks/interop.py --python torch=~/torch/bin/python onnxruntime=PYTHON --rounds 7

The layer is an LSTM of 256 units on 128 features; the language model that of
`experiments.char_lm`: vocabulary 65, embedding 128, two LSTM layers of 256. A hundred steps are a
loop of single steps, as in writing text; for the peers that read whole sequences, one call of a
hundred is in brackets. Each peer is a process of its own on one core; they take turns, and a figure
is the median over the rounds. C is compiled with `cc -O3 -march=native`. On a machine that does
other work the figures mean little. `--python` names interpreters for the peers that this one lacks.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VOCAB, EMBEDDING, UNITS = 65, 128, 256
PEERS = ("seqjax", "stream", "onnxruntime", "torch", "c float32", "c int8")
MODELS = ("layer", "language")

SECONDS = 0.3
"""For which a call is repeated each time that it is a peer's turn."""

PROGRAM = """
#define _POSIX_C_SOURCE 199309L
#include "model.h"
#include <stdio.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(void) {
  static model_state state;
  static float y[MODEL_OUTPUTS], x[1024];
  double best[2001];
  model_reset(&state);
  for (int k = 0; k < 2000; k++) {
    const double began = now();
    model_step(&state, INPUT, y);
    best[k] = now() - began;
    x[0] = y[0];
  }
  for (int k = 0; k < 2000; k++) printf("%.9f\\n", best[k]);
  return 0;
}
"""


def model_of(name: str):
    """A model and its parameters, with random weights."""
    import jax
    import numpy as np

    import seqjax

    if name == "layer":
        net = seqjax.LSTM(UNITS)
        return net, net.init(jax.random.key(0), EMBEDDING)
    net = seqjax.stack(seqjax.LSTM(UNITS), seqjax.LSTM(UNITS))
    model = seqjax.models.LanguageModel(VOCAB, EMBEDDING, net)
    return model, model.init(jax.random.key(0), np.zeros((1, 2), int))["params"]


def inputs_of(name: str, steps: int):
    """Inputs of a batch of 1: features `[1, steps, EMBEDDING]` or tokens `[1, steps]`."""
    import numpy as np

    rng = np.random.default_rng(0)
    if name == "layer":
        return rng.normal(size=(1, steps, EMBEDDING)).astype("f4")
    return rng.integers(0, VOCAB, (1, steps)).astype("i4")


def seqjax_calls(name: str) -> dict:
    """A jitted step, a loop of them, and one unrolled call."""
    import jax

    import seqjax

    model, params = model_of(name)
    xs = inputs_of(name, 100)
    if name == "layer":
        step = jax.jit(model.step)
        state = model.initial_state(params, (1,), xs.dtype)
        whole = jax.jit(lambda params, xs: seqjax.unroll(model, params, xs)[1])
    else:
        step, state = jax.jit(model.advance), model.start(params, (1,))
        whole = jax.jit(lambda params, xs: model.apply({"params": params}, xs)[1])

    def loop():
        after = state
        for t in range(100):
            after, y = step(params, after, xs[:, t])
            y.block_until_ready()

    return {
        "step": lambda: jax.block_until_ready(step(params, state, xs[:, 0])),
        "loop": loop,
        "whole": lambda: jax.block_until_ready(whole(params, xs)),
    }


def stream_calls(name: str) -> dict:
    """`interop.Stream`."""
    from seqjax import interop

    stream, xs = interop.Stream(model_of(name)), inputs_of(name, 100)

    def loop():
        for t in range(100):
            stream(xs[:, t]).block_until_ready()

    return {"step": lambda: stream(xs[:, 0]).block_until_ready(), "loop": loop}


def torch_calls(name: str) -> dict:
    """PyTorch's modules in inference mode."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    layers = 1 if name == "layer" else 2
    lstm = torch.nn.LSTM(EMBEDDING, UNITS, layers, batch_first=True)
    embed, head = torch.nn.Embedding(VOCAB, EMBEDDING), torch.nn.Linear(UNITS, VOCAB)
    xs = torch.tensor(inputs_of(name, 100)).to(torch.float32 if name == "layer" else torch.int64)

    @torch.inference_mode()
    def read(xs, state=None):
        if name == "layer":
            return lstm(xs, state)
        ys, state = lstm(embed(xs), state)
        return head(ys), state

    def loop():
        state = None
        for t in range(100):
            _, state = read(xs[:, t : t + 1], state)

    _, state = read(xs[:, :1])
    calls = {"step": lambda: read(xs[:, :1], state), "loop": loop}
    return calls | {"whole": lambda: read(xs)}


def onnxruntime_calls(name: str) -> dict:
    """ONNX Runtime's LSTM on one thread, with the state handed in and out; built by hand."""
    import numpy as np
    import onnx  # pyright: ignore[reportMissingImports]
    import onnxruntime  # pyright: ignore[reportMissingImports]

    model = onnx_model(name, onnx)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
    xs = inputs_of(name, 100).swapaxes(0, 1)
    names = [node.name for node in session.get_inputs()][1:]
    start = {name: np.zeros((1, 1, UNITS), "f4") for name in names}

    def loop():
        state = start
        for t in range(100):
            _, *after = session.run(None, {"x": xs[t : t + 1], **state})
            state = dict(zip(names, after, strict=True))

    return {
        "step": lambda: session.run(None, {"x": xs[:1], **start}),
        "loop": loop,
        "whole": lambda: session.run(None, {"x": xs, **start}),
    }


def onnx_model(name: str, onnx):
    """Gather, LSTM nodes, and a product; random weights."""
    import numpy as np

    rng, helper = np.random.default_rng(0), onnx.helper
    floats, nodes, weights, states = onnx.TensorProto.FLOAT, [], [], []

    def weight(label, *shape):
        values = 0.1 * rng.normal(size=shape).astype("f4")
        weights.append(onnx.numpy_helper.from_array(values, label))
        return label

    at, size = "x", EMBEDDING
    if name == "language":
        nodes.append(helper.make_node("Gather", [weight("e", VOCAB, EMBEDDING), "x"], ["embedded"]))
        at = "embedded"
    for k in range(1 if name == "layer" else 2):
        w, r = weight(f"w{k}", 1, 4 * UNITS, size), weight(f"r{k}", 1, 4 * UNITS, UNITS)
        inputs = [at, w, r, weight(f"b{k}", 1, 8 * UNITS), "", f"h{k}", f"c{k}"]
        outputs = [f"wide{k}", f"h{k}_after", f"c{k}_after"]
        nodes.append(helper.make_node("LSTM", inputs, outputs, hidden_size=UNITS))
        weights.append(onnx.numpy_helper.from_array(np.array([1]), f"axis{k}"))
        nodes.append(helper.make_node("Squeeze", [f"wide{k}", f"axis{k}"], [f"y{k}"]))
        at, size, states = f"y{k}", UNITS, [*states, f"h{k}", f"c{k}"]
    if name == "language":
        nodes.append(helper.make_node("MatMul", [at, weight("head", UNITS, VOCAB)], ["product"]))
        nodes.append(helper.make_node("Add", ["product", weight("bias", VOCAB)], ["logits"]))
        at = "logits"

    def value(label, dtype, *shape):
        return helper.make_tensor_value_info(label, dtype, shape)

    x = value("x", floats, "t", 1, EMBEDDING)
    if name == "language":
        x = value("x", onnx.TensorProto.INT32, "t", 1)
    inputs = [x, *(value(label, floats, 1, 1, UNITS) for label in states)]
    after = [value(f"{label}_after", floats, 1, 1, UNITS) for label in states]
    outputs = [value(at, floats, "t", 1, UNITS if name == "layer" else VOCAB), *after]
    graph = helper.make_graph(nodes, "model", inputs, outputs, weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def c_seconds(program: str) -> dict[str, float]:
    """Seconds of a step in C, and of a hundred: all steps are equally long."""
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    step = statistics.median(float(word) for word in printed.split())
    return {"step": step, "loop": 100 * step}


def compiled(name: str, weights: str, folder: Path) -> str:
    """Writes and compiles a C program."""
    from seqjax import interop

    folder.mkdir()
    interop.c.save(model_of(name), folder / "model.h", weights=weights)  # pyright: ignore[reportArgumentType]
    (folder / "program.c").write_text(PROGRAM)
    token = "x" if name == "layer" else f"k % {VOCAB}"
    words = ["cc", "-O3", "-march=native", f"-DINPUT={token}", "program.c", "-o", "program", "-lm"]
    subprocess.run(words, cwd=folder, check=True)
    return str(folder / "program")


def serve(peer: str) -> None:
    """A peer's process: answers each request, the name of a model, with seconds of each call."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    makers = {
        "seqjax": seqjax_calls,
        "stream": stream_calls,
        "torch": torch_calls,
        "onnxruntime": onnxruntime_calls,
    }
    known: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            name = json.loads(line)
            new = name not in known
            if peer in makers:
                known[name] = known.get(name) or makers[peer](name)
                limit = 1 if new else 10_000
                answer = {what: seconds_of(call, limit) for what, call in known[name].items()}
            else:
                weights = peer.split()[1]
                if new:
                    known[name] = {"program": compiled(name, weights, Path(folder) / name)}
                answer = c_seconds(known[name]["program"])
            print(json.dumps(answer), flush=True)


def seconds_of(call, most: int) -> float:
    """The median of the calls that fit into `SECONDS`, at least one."""
    times = []
    while not times or (sum(times) < SECONDS and len(times) < most):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class Peer:
    """The other end of `serve`; one that this machine lacks is left out."""

    def __init__(self, name: str, python: str):
        words = [os.path.expanduser(python), __file__, "--serve", name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, text=True, **pipes)
        self.name = name

    def measure(self, model: str) -> dict[str, float] | None:
        """Seconds of each call; None where the peer gave up."""
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps(model), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return None
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else None


def sizes() -> None:
    """Prints the sizes of the language model's files."""
    import jax

    from seqjax import interop, text
    from seqjax.tasks import Trained

    model, params = model_of("language")
    letters = "".join(chr(33 + k) for k in range(VOCAB))
    task = text.LanguageModel(model, text.codecs.Characters.of(letters))
    trained = Trained(task, params)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained.save(folder / "float32")
        interop.quantise(trained).save(folder / "int8")
        large, small = (
            (folder / weights / "weights.safetensors").stat().st_size
            for weights in ("float32", "int8")
        )
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        print(f"\n{count:,} weights: {large / 1e6:.2f} MB in float32, {small / 1e6:.2f} in int8")
        for weights in ("float32", "int8"):
            words = [
                "cc",
                "-O3",
                "-march=native",
                "-c",
                "-DINPUT=0",
                "program.c",
                "-o",
                "program.o",
            ]
            place = folder / f"c_{weights}"
            compiled("language", weights, place)
            subprocess.run(words, cwd=place, check=True)
            header, made = (place / part for part in ("model.h", "program.o"))
            sizes = (
                f"{header.stat().st_size / 1e6:.2f} MB, compiled {made.stat().st_size / 1e6:.2f}"
            )
            print(f"model.h in {weights}: {sizes}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument(
        "--python", nargs="+", default=(), metavar="PEER=PATH", help="interpreters of peers"
    )
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    pythons = dict(word.split("=", 1) for word in args.python)
    peers = [Peer(name, pythons.get(name, sys.executable)) for name in args.peers]
    print("| model | peer | step, us (least, most) | 100 steps, us | in one call, us |")
    print("|---|---|---|---|---|")
    for model in MODELS:
        # The first answers compile.
        here = [peer for peer in peers if peer.measure(model) is not None]
        rounds = [[peer.measure(model) or {} for peer in here] for _ in range(args.rounds)]
        for place, peer in enumerate(here):
            print_row(model, peer.name, [answers[place] for answers in rounds])
    sizes()


def print_row(model: str, peer: str, answers: list[dict[str, float]]) -> None:
    """Prints the medians of a peer."""
    microseconds = {}
    for what in answers[0]:
        microseconds[what] = sorted(1e6 * answer[what] for answer in answers)
    steps = microseconds["step"]
    step = f"{statistics.median(steps):.0f} ({steps[0]:.0f}, {steps[-1]:.0f})"
    loop = f"{statistics.median(microseconds['loop']):,.0f}"
    whole = f"{statistics.median(microseconds['whole']):,.0f}" if "whole" in microseconds else ""
    print("|", " | ".join([model, peer, step, loop, whole]), "|", flush=True)


if __name__ == "__main__":
    main()
