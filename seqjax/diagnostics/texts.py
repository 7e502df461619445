"""How good written texts are: scores by sacrebleu and rouge-score, by length of the source, and lines to draw them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from seqjax.diagnostics.figures import add_title, new_figure

References: TypeAlias = Sequence[str | Sequence[str]]
"""What each text should say: one text, or several that are as good."""


def bleu(written: Sequence[str], references: References) -> tuple[float, str]:
    """BLEU of sacrebleu with its defaults, and its signature (Papineni et al., 2002; Post, 2018)."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    score = metric.corpus_score(list(written), _aligned(references)).score
    return score, str(metric.get_signature())


def text_scores(written: Sequence[str], references: References, rouge: bool = False) -> dict[str, float]:
    """Scores of texts, all in per cent.

    Args:
      written: the texts.
      references: what each should say, one text or several.
      rouge: also the F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004), of several references with the best one.

    Returns:
      `bleu`, `chrf`, and with `rouge` also `rouge_1`, `rouge_2`, `rouge_l`.
    """
    from sacrebleu.metrics.chrf import CHRF

    scores = {"bleu": bleu(written, references)[0]}
    scores["chrf"] = CHRF().corpus_score(list(written), _aligned(references)).score
    if rouge:
        from rouge_score.rouge_scorer import RougeScorer

        kinds = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
        scorer = RougeScorer(list(kinds.values()))
        found = [scorer.score_multi(each, text) for text, each in zip(written, map(_several, references), strict=True)]
        scores |= {name: 100 * float(np.mean([f[kind].fmeasure for f in found])) for name, kind in kinds.items()}
    return scores


def bleu_by_length(
    sources: Sequence[str], written: Sequence[str], references: Sequence[str], groups: int = 4
) -> tuple[list[float], list[float]]:
    """BLEU in groups of about equally many pairs, from short sources to long ones.

    Args:
      sources: what was read.
      written: what was written for each.
      references: what it should say.
      groups: how many.

    Returns:
      `(words, scores)`: the mean number of words of a source, and the BLEU, of each group.
    """
    lengths = np.array([len(source.split()) for source in sources])
    parts = [part for part in np.array_split(np.argsort(lengths, kind="stable"), groups) if len(part)]
    scores = [bleu([written[int(i)] for i in part], [references[int(i)] for i in part])[0] for part in parts]
    return [float(lengths[part].mean()) for part in parts], scores


def plot_lines(panels: Mapping[str, Mapping[str, tuple[Sequence, Sequence]]], xlabel: str, title: str = "") -> Any:
    """Lines side by side, one panel for each quantity.

    Args:
      panels: name of a quantity -> label of a line -> its `(x, y)`.
      xlabel: what x is.
      title: over the whole.

    Returns:
      A matplotlib figure for the caller to save.
    """
    figure = new_figure((5.0 * len(panels), 3.8))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, lines) in zip(axes, panels.items(), strict=True):
        for label, (xs, ys) in lines.items():
            axis.plot(xs, ys, marker="o", markersize=3.5, label=label)
        axis.set(xlabel=xlabel, ylabel=name)
        axis.grid(alpha=0.25)
        if len(lines) > 1:
            axis.legend(frameon=False, fontsize="small")
    add_title(figure, title)
    return figure


def _several(reference: str | Sequence[str]) -> list[str]:
    return [reference] if isinstance(reference, str) else list(reference)


def _aligned(references: References) -> list[list[Any]]:
    """The first reference of every text, then the second ones, as sacrebleu takes them: None where there is none."""
    return [list(column) for column in itertools.zip_longest(*map(_several, references))]
