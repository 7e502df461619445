"""Picture of what a network heard where: spectrogram, aligned letters, and the spikes of its outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from seqjax.figures.figure import new_figure


def plot_alignment(
    frames: ArrayLike,
    probabilities: ArrayLike,
    spans: Sequence[tuple[str, float, float]],
    symbols: Sequence[str],
    *,
    seconds: float,
    title: str = "",
) -> Any:
    """A spectrogram, the letters where they were aligned, and under it the probability of each symbol over time.

    Args:
      frames: `[time, bands]` energies, drawn as they are.
      probabilities: `[steps, vocab]` of the symbols, the blank first.
      spans: letter, begin and end in seconds.
      symbols: names of the symbols `[vocab]`.
      seconds: duration of all frames, and of all steps.
      title: over the whole.

    Returns:
      A matplotlib figure for the caller to save.
    """
    frames, probabilities = np.asarray(frames), np.asarray(probabilities)
    figure = new_figure((max(7.0, 2.6 * seconds), 5.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.imshow(
        frames.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, seconds, 0, frames.shape[1]),
        vmin=np.percentile(frames, 5),
    )
    height = frames.shape[1]
    for letter, begin, end in spans:
        if not letter.strip():
            above.axvspan(begin, end, color="white", alpha=0.15, linewidth=0)
            continue
        above.text(
            (begin + end) / 2,
            1.04 * height,
            letter,
            ha="center",
            va="bottom",
            fontsize=10,
            clip_on=False,
        )
        above.axvline(begin, color="white", linewidth=0.5, alpha=0.6)
        above.axvline(end, color="white", linewidth=0.5, alpha=0.6)
    above.set(ylabel="mel band", ylim=(0, height))
    times = (np.arange(len(probabilities)) + 0.5) * seconds / len(probabilities)
    below.plot(times, probabilities[:, 0], color="0.8", linewidth=1, label="blank")
    for index in range(1, probabilities.shape[1]):
        spike = probabilities[:, index]
        if spike.max() < 0.1:
            continue
        (line,) = below.plot(times, spike, linewidth=1.1)
        for place in _peaks(spike):
            name = symbols[index] if symbols[index].strip() else "␣"
            below.text(
                times[place],
                spike[place] + 0.03,
                name,
                color=line.get_color(),
                ha="center",
                fontsize=9,
            )
    below.set(xlabel="seconds", ylabel="probability", ylim=(0, 1.18), xlim=(0, seconds))
    below.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.97), fontsize="small")
    if title:
        figure.suptitle(title)
    return figure


def _peaks(values: np.ndarray, least: float = 0.25) -> list[int]:
    """The highest place of every stretch above `least`."""
    over = np.concatenate([[False], values > least, [False]])
    begins, ends = np.flatnonzero(over[1:] & ~over[:-1]), np.flatnonzero(~over[1:] & over[:-1])
    return [
        int(begin + values[begin:end].argmax()) for begin, end in zip(begins, ends, strict=True)
    ]
