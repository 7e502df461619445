"""A step and a hundred at batch 1, in and outside of Python: `python benchmarks/interop.py`.

    python benchmarks/interop.py --python torch=~/torch/bin/python onnxruntime=PYTHON --rounds 7
    python benchmarks/interop.py --peers --data-dir DATA --steps 250         # what int8 costs in nats

The layer is an LSTM of 256 units on 128 features; the language model that of
`experiments.char_lm`: vocabulary 65, embedding 128, two LSTM layers of 256. A hundred steps are a
loop of single steps, as in writing text; for the peers that read whole sequences, one call of a
hundred is in the last column. Each peer is a process of its own on one core; they take turns, and a
figure is the median over the rounds. ONNX files are those of `interop.onnx.save`, C is compiled
with `cc -O3 -march=native`, or with `cc -O3` for "any CPU". On a machine that does other work the
figures mean little. `--python` names interpreters for the peers that this one lacks.

With `--data-dir` the language model learns tiny Shakespeare first, and every format reads the same
part of its validation text.
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
PEERS = (
    *("seqjax", "stream", "stream int8", "onnxruntime", "onnxruntime int8", "torch"),
    *("c float32", "c int8", "c float32, any CPU", "c int8, any CPU"),
)
MODELS = ("layer", "language")
WEIGHTS = ("float32", "int8")

SECONDS = 0.3
"""For which a call is repeated each time that it is a peer's turn."""

READ = 10_000
"""Characters of the text on which nats are measured."""

TIMED = """
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
"""Times 2,000 steps."""

SCORED = """
#include "model.h"
#include <stdio.h>

int main(void) {
  static model_state state;
  static float logits[MODEL_TOKENS];
  double nats = 0;
  int before, token, count = 0;
  model_reset(&state);
  if (scanf("%d", &before) != 1) return 1;
  for (; scanf("%d", &token) == 1; before = token, count++) {
    double total = 0;
    model_step(&state, before, logits);
    for (int k = 0; k < MODEL_TOKENS; k++) total += expf(logits[k]);
    nats += log(total) - logits[token];
  }
  printf("%.9f\\n", nats / count);
  return 0;
}
"""
"""Reads tokens and prints the nats of each, on average."""


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


def stream_calls(name: str, weights: str) -> dict:
    """`interop.Stream`."""
    from seqjax import interop

    model, params = model_of(name)
    params = interop.quantise(params) if weights == "int8" else params
    stream, xs = interop.Stream((model, params)), inputs_of(name, 100)

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


def onnxruntime_calls(name: str, folder: Path, weights: str) -> dict:
    """ONNX Runtime on one thread, with the states handed in and out."""
    import numpy as np

    step, whole = (opened(path) for path in onnx_files(name, folder, weights))
    xs, (first, *_) = inputs_of(name, 100), (value.name for value in step.get_inputs())
    state = {value.name: np.zeros((1, *value.shape[1:]), "f4") for value in step.get_inputs()[1:]}
    lengths = np.array([100], "i4")

    def loop():
        after = state
        for t in range(100):
            _, *values = step.run(None, {first: xs[:, t], **after})
            after = dict(zip(state, values, strict=True))

    return {
        "step": lambda: step.run(None, {first: xs[:, 0], **state}),
        "loop": loop,
        "whole": lambda: whole.run(None, {first: xs, "lengths": lengths, **state}),
    }


def opened(path: Path):
    """A session of ONNX Runtime on one thread."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Else weights in int8 are made floating point anew at every call.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_files(name: str, folder: Path, weights: str) -> tuple[Path, Path]:
    """The files of a step and of whole sequences."""
    return folder / f"{name}_{weights}_step.onnx", folder / f"{name}_{weights}.onnx"


def write(name: str, pair, folder: Path) -> None:
    """Writes all files of a model, and compiles its C."""
    from seqjax import interop

    for weights in WEIGHTS:
        step, whole = onnx_files(name, folder, weights)
        interop.onnx.save(pair, step, step=True, weights=weights)
        interop.onnx.save(pair, whole, weights=weights)
        place = folder / f"{name}_{weights}"
        place.mkdir()
        interop.c.save(pair, place / "model.h", weights=weights)
        token = "x" if name == "layer" else f"k % {VOCAB}"
        compile_c(place, TIMED, "native", "-march=native", f"-DINPUT={token}")
        compile_c(place, TIMED, "any", f"-DINPUT={token}")
        if name == "language":
            compile_c(place, SCORED, "score", "-march=native")


def compile_c(place: Path, code: str, program: str, *options: str) -> None:
    """Compiles a program that includes `model.h`."""
    (place / f"{program}.c").write_text(code)
    words = ["cc", "-std=c99", "-O3", *options, f"{program}.c", "-o", program, "-lm"]
    subprocess.run(words, cwd=place, check=True)


def c_seconds(program: str) -> dict[str, float]:
    """Seconds of a step in C, and of a hundred: all steps are equally long."""
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    step = statistics.median(float(word) for word in printed.split())
    return {"step": step, "loop": 100 * step}


def serve(peer: str, folder: Path) -> None:
    """A peer's process: answers each request, the name of a model, with seconds of each call."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    makers = {
        "seqjax": seqjax_calls,
        "stream": lambda name: stream_calls(name, "float32"),
        "stream int8": lambda name: stream_calls(name, "int8"),
        "torch": torch_calls,
        "onnxruntime": lambda name: onnxruntime_calls(name, folder, "float32"),
        "onnxruntime int8": lambda name: onnxruntime_calls(name, folder, "int8"),
    }
    known: dict[str, dict] = {}
    for line in sys.stdin:
        name = json.loads(line)
        if peer in makers:
            limit = 10_000 if name in known else 1
            known[name] = known.get(name) or makers[peer](name)
            answer = {what: seconds_of(call, limit) for what, call in known[name].items()}
        else:
            weights, *portable = peer.removeprefix("c ").split(", ")
            program = "any" if portable else "native"
            answer = c_seconds(str(folder / f"{name}_{weights}" / program))
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

    def __init__(self, name: str, python: str, folder: Path):
        words = [os.path.expanduser(python), __file__, "--serve", name, "--folder", str(folder)]
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


def print_sizes(pair, folder: Path) -> None:
    """Prints the sizes of the language model's files."""
    import jax
    import numpy as np

    from seqjax import interop
    from seqjax.files.weights import write_weights
    from seqjax.interop.arrays import from_tree

    _, params = pair
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    print(f"\nThe language model's {count:,} weights, MB:\n")
    print("| weights | safetensors | ONNX, a step | ONNX | C header | C program |")
    print("|---|---|---|---|---|---|")
    for weights in WEIGHTS:
        kept = folder / f"{weights}.safetensors"
        arrays = from_tree(interop.quantise(params) if weights == "int8" else params, "weights")
        write_weights(kept, {label: np.asarray(array) for label, array in arrays.entries.items()})
        place = folder / f"language_{weights}"
        files = (kept, *onnx_files("language", folder, weights), place / "model.h", place / "any")
        words = [f"{path.stat().st_size / 1e6:.2f}" for path in files]
        print("|", " | ".join([weights, *words]), "|")


def learnt(data_dir: str, steps: int):
    """The language model after some steps on tiny Shakespeare, and the tokens of a text."""
    import seqjax
    from seqjax import text, training

    corpus = text.load_corpus("tiny_shakespeare", data_dir)
    both = corpus.train + corpus.validation
    net = seqjax.stack(seqjax.LSTM(UNITS), seqjax.LSTM(UNITS), dropout=0.3)
    task = text.LanguageModel.of(both, net, embedding_size=EMBEDDING, window=100)
    recipe = training.Recipe(steps=steps, batch_size=64, learning_rate=2e-3, clip=5.0)
    trained = training.fit(task, corpus.train, recipe=recipe)
    return (task.model, trained.params), task.codec.encode(corpus.validation[:READ])


def print_nats(pair, tokens, folder: Path) -> None:
    """Prints what each format pays for a text."""
    import numpy as np

    from seqjax import interop

    model, params = pair
    small = interop.quantise(params)
    lengths = np.array([len(tokens) - 1], "i4")
    states = {f"state_{k}": np.zeros((1, UNITS), "f4") for k in range(4)}
    print(f"\nNats of a character, of {len(tokens):,}:\n")
    print("| weights | seqjax | stream | ONNX Runtime | C |\n|---|---|---|---|---|")
    for weights, given in zip(WEIGHTS, (params, small), strict=True):
        logits = model.apply({"params": interop.dequantise(given)}, tokens[None, :-1])[1][0]
        stream = interop.Stream((model, given))
        steps = np.stack([stream(token) for token in tokens[:-1]])
        found = [nats(np.asarray(logits), tokens[1:]), nats(steps, tokens[1:])]
        session = opened(onnx_files("language", folder, weights)[1])
        inputs = {"tokens": tokens[None, :-1].astype("i4"), "lengths": lengths, **states}
        found.append(nats(session.run(["logits"], inputs)[0][0], tokens[1:]))
        fed = " ".join(map(str, tokens))
        program = folder / f"language_{weights}" / "score"
        done = subprocess.run([program], input=fed, capture_output=True, text=True, check=True)
        found.append(float(done.stdout))
        print("|", " | ".join([weights, *(f"{value:.5f}" for value in found)]), "|")


def nats(logits, targets) -> float:
    """Cross-entropy, `logits [steps, VOCAB]` in float64."""
    import numpy as np

    logits = logits.astype(np.float64)
    totals = np.log(np.exp(logits).sum(-1))
    return float((totals - logits[np.arange(len(targets)), targets]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument(
        "--python", nargs="+", default=(), metavar="PEER=PATH", help="interpreters of peers"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", help="folder of data sets: measure nats after training")
    parser.add_argument("--steps", type=int, default=100, help="of training")
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        report(args, Path(name))


def report(args: argparse.Namespace, folder: Path) -> None:
    """Prints times, sizes and nats."""
    pair, tokens = model_of("language"), None
    if args.data_dir:
        pair, tokens = learnt(args.data_dir, args.steps)
    write("layer", model_of("layer"), folder)
    write("language", pair, folder)
    print_times(args, folder)
    print_sizes(pair, folder)
    if tokens is not None:
        print_nats(pair, tokens, folder)


def print_times(args: argparse.Namespace, folder: Path) -> None:
    """Prints the table of times."""
    if not args.peers:
        return
    pythons = dict(word.split("=", 1) for word in args.python)
    peers = [
        Peer(name, pythons.get(name.split()[0], sys.executable), folder) for name in args.peers
    ]
    print("| model | peer | step, us (least, most) | 100 steps, us | in one call, us |")
    print("|---|---|---|---|---|")
    for model in MODELS:
        # The first answers compile.
        here = [peer for peer in peers if peer.measure(model) is not None]
        rounds = [[peer.measure(model) or {} for peer in here] for _ in range(args.rounds)]
        for place, peer in enumerate(here):
            print_row(model, peer.name, [answers[place] for answers in rounds])


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
