"""Makes `ctc_*.npz`: what `torch.nn.CTCLoss` gives, values and gradients, in float64.

Run it from anywhere, in an environment that has torch and numpy:

    python tests/golden/make_ctc.py [--out FOLDER]

The files beside this script were made by torch 2.13.0 (CPU). The generator is seeded: a rerun gives
the same files up to rounding in torch. `README.md` lists the keys.
"""

import argparse
import pathlib

import numpy as np
import torch

LENGTHS = (9, 7, 9, 4, 5, 1, 9, 3)
LABELS = (
    (1, 2, 3),
    (2, 2, 1, 1),
    (),
    (3, 3, 3),
    (3, 3, 3),
    (2,),
    (1, 2, 1, 2, 1, 2, 1, 2, 1),
    (1, 2, 3, 1),
)
"""Rows: usual; repeats; empty; repeats that do not fit, and that just fit; one frame; no frame to spare; too long."""


def make(scale: float, blank: int, seed: int) -> dict:
    """One batch with logits of this scale; with another blank the labels give way to it."""
    rng = np.random.default_rng(seed)
    lengths, label_lengths = np.array(LENGTHS), np.array([len(label) for label in LABELS])
    labels = np.zeros((len(LABELS), max(label_lengths)), int)
    for row, label in zip(labels, LABELS, strict=True):
        row[: len(label)] = [symbol if blank == 0 else (symbol + blank) % 4 for symbol in label]
    logits = scale * rng.normal(size=(len(LABELS), max(LENGTHS), 4))
    weights = rng.uniform(0.5, 1.5, len(LABELS))
    scores = torch.from_numpy(logits).requires_grad_()
    arguments = (
        scores.log_softmax(-1).transpose(0, 1),
        torch.from_numpy(labels),
        torch.from_numpy(lengths),
        torch.from_numpy(label_lengths),
    )
    losses = torch.nn.CTCLoss(blank, reduction="none")(*arguments)
    zeroed = torch.nn.CTCLoss(blank, reduction="none", zero_infinity=True)(*arguments)
    (torch.from_numpy(weights) * zeroed).sum().backward()
    return dict(
        logits=logits,
        labels=labels,
        lengths=lengths,
        label_lengths=label_lengths,
        weights=weights,
        blank=blank,
        losses=losses.detach().numpy(),
        zeroed=zeroed.detach().numpy(),
        grad=scores.grad.numpy(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    for seed, (name, scale, blank) in enumerate(
        (("usual", 1.0, 0), ("confident", 30.0, 0), ("last_blank", 2.0, 3))
    ):
        np.savez(out / f"ctc_{name}.npz", **make(scale, blank, seed))


if __name__ == "__main__":
    main()
