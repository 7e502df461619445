"""CTC loss, value and gradient, beside optax and PyTorch: `python benchmarks/ctc.py` (torch where it is installed).

Batch 32, labels a fifth as long as the frames, random logits; the peers alternate in one process
and the least of the rounds counts. PyTorch runs in a process of its own; `--python` names the
interpreter that has torch where this one has not.
"""

import argparse
import subprocess
import sys
import time

import numpy as np

BATCH = 32
SIZES = [(frames, alphabet) for frames in (200, 500) for alphabet in (32, 1_000, 5_000)]


def draw(frames: int, alphabet: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels, drawn at random."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((BATCH, frames, alphabet), np.float32)
    return logits, rng.integers(1, alphabet, (BATCH, frames // 5))


def jax_steps(frames: int, alphabet: int) -> dict:
    """Functions that take value and gradient once and wait for them."""
    import jax
    import jax.numpy as jnp
    import optax

    import seqjax

    logits, labels = map(jnp.asarray, draw(frames, alphabet))
    paddings = jnp.zeros(logits.shape[:2]), jnp.zeros(labels.shape)
    losses = {
        "seqjax": lambda logits: seqjax.losses.ctc(logits, labels).sum(),
        "optax": lambda logits: optax.ctc_loss(logits, paddings[0], labels, paddings[1]).sum(),
    }
    compiled = {name: jax.jit(jax.value_and_grad(loss)) for name, loss in losses.items()}
    return {
        name: lambda step=step: jax.block_until_ready(step(logits))
        for name, step in compiled.items()
    }


def torch_steps(frames: int, alphabet: int) -> dict:
    """The same of PyTorch, its softmax included."""
    import torch  # pyright: ignore[reportMissingImports]

    logits, labels = map(torch.from_numpy, draw(frames, alphabet))
    logits.requires_grad_()
    lengths = torch.full((BATCH,), frames), torch.full((BATCH,), labels.shape[1])
    loss = torch.nn.CTCLoss(reduction="sum")

    def step():
        logits.grad = None
        loss(logits.log_softmax(-1).transpose(0, 1), labels, *lengths).backward()

    return {"torch": step}


def least_milliseconds(steps: dict, rounds: int) -> dict[str, float]:
    """Of each, after warming up."""
    times = {name: [] for name in steps}
    for lap in range(rounds + 2):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            times[name] += [1e3 * (time.perf_counter() - began)] * (lap >= 2)
    return {name: min(taken) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    if args.torch:
        print(least_milliseconds(torch_steps(*args.torch), args.rounds)["torch"])
        return
    print("| frames | alphabet | seqjax ms | optax ms | torch ms |\n|---|---|---|---|---|")
    for frames, alphabet in SIZES:
        found = least_milliseconds(jax_steps(frames, alphabet), args.rounds)
        words = [
            args.python,
            __file__,
            "--rounds",
            str(args.rounds),
            "--torch",
            str(frames),
            str(alphabet),
        ]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        torch = f"{float(done.stdout):.1f}" if done.returncode == 0 else "not installed"
        print(
            f"| {frames} | {alphabet:,} | {found['seqjax']:.1f} | {found['optax']:.1f} | {torch} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
