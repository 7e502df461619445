"""How pieces were expected, and the figures of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Scored(NamedTuple):
    """How a piece was expected.

    Attributes:
      nats: minus the log probability of each frame, `[frames]`.
      predicted: the likeliest frame at each place, note by note, uint8 `[frames, 88]`.
    """

    nats: np.ndarray
    predicted: np.ndarray


def metrics_of(rolls: Sequence[np.ndarray], scored: Sequence[Scored]) -> dict[str, float]:
    """Computes the figures of `seqjax.music.Composer.evaluate`.

    Args:
      rolls: the pieces.
      scored: how each was expected.

    Raises:
      ValueError: no piece has two frames.
    """
    later = [one.nats[1:] for one in scored]
    frames = sum(map(len, later))
    if not frames:
        raise ValueError("no piece has two frames; give longer music")
    total = sum(float(nats.sum(dtype=np.float64)) for nats in later)
    first = sum(float(one.nats[:1].sum(dtype=np.float64)) for one in scored)
    begun = sum(len(one.nats) > 0 for one in scored)
    both, either = 0, 0
    for roll, one in zip(rolls, scored, strict=True):
        both += int((roll[1:] & one.predicted[1:]).sum())
        either += int((roll[1:] | one.predicted[1:]).sum())
    return {
        "nats": total / frames,
        "nats_with_first": (total + first) / (frames + begun),
        "accuracy": both / max(either, 1),
    }


def table_of(scored: Sequence[Scored]) -> dict[str, list]:
    """Lists the frames of each piece, and the nats of a frame, the first one left out."""
    nats = []
    for one in scored:
        nats.append(f"{one.nats[1:].mean():.3f}" if len(one.nats) > 1 else "")
    return {
        "piece": list(range(len(scored))),
        "frames": [len(one.nats) for one in scored],
        "nats": nats,
    }
