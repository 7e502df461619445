"""Training steps a second, beside the same model and loop in PyTorch: `python benchmarks/training.py` (wants torch).

`mnist_rows`: 28 rows of 28 pixels, two bidirectional LSTM layers of 128 with dropout 0.3, batch
128, an epoch of 469 steps. `char_lm`: vocabulary 65, embedding 128, two LSTM layers of 256 with
dropout 0.3, 64 windows of 100 characters. Both under Adam with the gradient clipped at norm 5, on
random data. The peers run in processes of their own, for two thread pools in one process spoil each
other, and alternate; a ratio is that of two neighbours. `--python` names the interpreter that has
torch where this one has not.
"""

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np

CLIP, DROPOUT = 5.0, 0.3
RATES = {"mnist_rows": 1e-3, "char_lm": 2e-3}
EPOCH = 469
"""Steps of an epoch of MNIST at batch 128."""


def batch_of(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, drawn at random."""
    rng = np.random.default_rng(0)
    if task == "mnist_rows":
        return rng.random((128, 28, 28), np.float32), rng.integers(0, 10, 128)
    tokens = rng.integers(0, 65, (64, 101))
    return tokens[:, :-1], tokens[:, 1:]


def seqjax_step(task: str, backend: str):
    """A function that takes one training step and waits for it."""
    import jax
    import optax

    import seqjax
    from seqjax import models, training

    if task == "mnist_rows":
        layers = [seqjax.bidirectional(seqjax.LSTM(128)) for _ in range(2)]
        recurrence = seqjax.stack(*layers, dropout=DROPOUT)
        model = models.SequenceClassifier(10, recurrence, dropout=DROPOUT, backend=backend)
    else:
        recurrence = seqjax.stack(seqjax.LSTM(256), seqjax.LSTM(256), dropout=DROPOUT)
        model = models.LanguageModel(65, 128, recurrence, backend=backend)

    def loss(params, batch, rng, extra):
        inputs, targets = batch
        found = model.apply({"params": params}, inputs, rngs={"dropout": rng})
        logits = found if task == "mnist_rows" else found[1]
        return seqjax.losses.cross_entropy(logits, targets), training.Aux(weight=targets.size)

    batch, optimiser = batch_of(task), optax.adam(RATES[task])
    params = model.init(jax.random.key(0), batch[0])["params"]
    state = training.create_state(params, optimiser, jax.random.key(1))
    train = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(CLIP))

    def step():
        nonlocal state
        state, metrics = train(state, batch)
        return float(metrics["loss"])

    return step


def torch_step(task: str):
    """The same in PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(28, 128, 2, batch_first=True, dropout=DROPOUT, bidirectional=True)
            self.drop, self.head = nn.Dropout(DROPOUT), nn.Linear(256, 10)

        def forward(self, rows):
            _, (h, _) = self.lstm(rows)
            return self.head(self.drop(torch.cat([h[-2], h[-1]], -1)))

    class Writer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(65, 128), nn.Linear(256, 65)
            self.lstm = nn.LSTM(128, 256, 2, batch_first=True, dropout=DROPOUT)

        def forward(self, tokens):
            return self.head(self.lstm(self.embed(tokens))[0]).transpose(1, 2)

    torch.manual_seed(0)
    inputs, targets = map(torch.from_numpy, batch_of(task))
    model = Reader() if task == "mnist_rows" else Writer()
    optimiser = torch.optim.Adam(model.parameters(), RATES[task])

    def step():
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        return loss.item()

    return step


def median_seconds(step, steps: int) -> float:
    """Of one step, after warming up."""
    for _ in range(5):
        step()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs=2, metavar=("PEER", "TASK"), help=argparse.SUPPRESS)
    parser.add_argument("--tasks", nargs="+", choices=tuple(RATES), default=tuple(RATES))
    parser.add_argument("--backends", nargs="+", default=("auto",), help="of seqjax")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--steps", type=int, default=60, help="timed in each round")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.measure:
        peer, task = args.measure
        print(
            median_seconds(
                torch_step(task) if peer == "torch" else seqjax_step(task, peer), args.steps
            )
        )
        return

    def measured(peer: str, task: str) -> float:
        python = args.python if peer == "torch" else sys.executable
        words = [python, __file__, "--measure", peer, task, "--steps", str(args.steps)]
        return float(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)

    print("| task | peer | ms a step | times PyTorch (least, most) |\n|---|---|---|---|")
    for task in args.tasks:
        rounds = [
            {peer: measured(peer, task) for peer in ("torch", *args.backends)}
            for _ in range(args.rounds)
        ]
        for peer in rounds[0]:
            ratios = sorted(seconds["torch"] / seconds[peer] for seconds in rounds)
            middle = statistics.median(seconds[peer] for seconds in rounds)
            epoch = f", {EPOCH * middle:.1f} s an epoch" if task == "mnist_rows" else ""
            ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
            print(f"| {task} | {peer} | {1000 * middle:.1f}{epoch} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
