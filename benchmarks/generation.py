"""Characters generated a second, beside PyTorch's loop: `python benchmarks/generation.py` (wants torch installed).

The model of `experiments.char_lm` with random weights: vocabulary 65, embedding 128, two LSTM
layers of 256. PyTorch runs in a process of its own, for two thread pools in one process spoil each
other; the two alternate.
"""

import argparse
import statistics
import subprocess
import sys
import time


def seqjax_rates(rows: int, length: int, rounds: int) -> list[float]:
    """Characters a second of the jitted sampler, compilation aside."""
    import jax
    import jax.numpy as jnp

    import seqjax
    from seqjax.models import LanguageModel

    model = LanguageModel(65, 128, seqjax.stack(seqjax.LSTM(256), seqjax.LSTM(256)))
    prompt = jnp.zeros((rows, 1), int)
    params = model.init(jax.random.key(0), prompt)["params"]

    def write(seed):
        state = model.start(params, (rows,))
        key = jax.random.key(seed)
        jax.block_until_ready(
            seqjax.decoding.sample(
                model.advance, params, state, prompt, key, length, temperature=0.8
            )
        )

    write(0)
    return [rows * length / seconds(lambda: write(1)) for _ in range(rounds)]


def torch_rates(length: int, rounds: int) -> list[float]:
    """Characters a second of a step-by-step loop at batch 1."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    embed, head = torch.nn.Embedding(65, 128), torch.nn.Linear(256, 65)
    lstm = torch.nn.LSTM(128, 256, 2, batch_first=True)

    @torch.inference_mode()
    def write():
        token, state = torch.zeros((1, 1), dtype=torch.long), None
        for _ in range(length):
            y, state = lstm(embed(token), state)
            token = torch.multinomial(torch.softmax(head(y[:, -1]) / 0.8, -1), 1)

    write()
    return [length / seconds(write) for _ in range(rounds)]


def seconds(call) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(what: str, rounds: int) -> list[float]:
    """Rates measured in a fresh process."""
    words = [sys.executable, __file__, "--measure", what, "--rounds", str(rounds)]
    return [
        float(word)
        for word in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", choices=("torch", "one", "many"))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.measure:
        calls = {
            "torch": lambda: torch_rates(1000, args.rounds),
            "one": lambda: seqjax_rates(1, 2000, args.rounds),
            "many": lambda: seqjax_rates(64, 1000, args.rounds),
        }
        print(*calls[args.measure]())
        return
    rates: dict[str, list[float]] = {"torch": [], "one": [], "many": []}
    for _ in range(3):
        for what in rates:
            rates[what] += measure(what, args.rounds)
    base = statistics.median(rates["torch"])
    for what, label in (
        ("torch", "PyTorch, batch 1"),
        ("one", "seqjax, batch 1"),
        ("many", "seqjax, batch 64"),
    ):
        rate = statistics.median(rates[what])
        print(
            f"{label:<18}{rate:>10,.0f} characters/s  {rate / base:6.1f}x  (min {min(rates[what]):,.0f})"
        )


if __name__ == "__main__":
    main()
