"""How good written texts are: scores by sacrebleu and rouge-score, by length of the source, and lines to draw them."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import regex

from seqjax.data.words import UNSPACED, scored_words, spaced
from seqjax.figures.figure import add_legends, add_title, new_figure, use_whole_ticks

References: TypeAlias = Sequence[str | Sequence[str]]
"""What each text should say: one text, or several that are as good."""

_LETTER = regex.compile(r"[\p{L}\p{N}]")
_UNSPACED = regex.compile(rf"[[\p{{L}}\p{{N}}]&&[{UNSPACED}]]", regex.V1)
_HAN = regex.compile(r"\p{Han}")


def bleu(
    written: Sequence[str], references: References, tokenisation: str | None = None
) -> tuple[float, str]:
    """BLEU of sacrebleu, and its signature (Papineni et al., 2002; Post, 2018).

    Short n-grams alone are counted where a text may be right without any of 4 tokens: the signature
    then says "eff:yes".

    Args:
      written: the texts.
      references: what each should say, one text or several.
      tokenisation: a name that sacrebleu knows; None chooses by the script, see `tokenisation_of`.
    """
    from sacrebleu.metrics.bleu import BLEU

    tokenisation = tokenisation or tokenisation_of(references)
    metric = BLEU(tokenize=tokenisation)
    if not any(map(functools.partial(_is_long, metric), references)):
        metric = BLEU(tokenize=tokenisation, effective_order=True)
    score = metric.corpus_score(list(written), _aligned(references)).score
    return score, str(metric.get_signature())


def tokenisation_of(references: References) -> str:
    """Returns the tokenisation of sacrebleu that fits the script of most letters of the references.

    "13a", its default, where blanks part words; "zh" for Chinese; "char" for Japanese, Thai and
    other scripts without blanks.

    Example:
      >>> tokenisation_of(["a dog"]), tokenisation_of(["一只狗"]), tokenisation_of(["犬がいる"])
      ('13a', 'zh', 'char')
    """
    text = "".join(itertools.chain.from_iterable(map(_several, references)))
    letters, unspaced, han = (len(pattern.findall(text)) for pattern in (_LETTER, _UNSPACED, _HAN))
    if 2 * unspaced <= letters:
        return "13a"
    # Japanese writes at least every fourth letter in kana.
    return "zh" if han > 0.9 * unspaced else "char"


def text_scores(
    written: Sequence[str], references: References, rouge: bool = False
) -> dict[str, float]:
    """Scores of texts, all in per cent; each is 100 for texts that are their references, in any script.

    Args:
      written: the texts.
      references: what each should say, one text or several.
      rouge: also the F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004), of several references with the
        best one.

    Returns:
      `bleu`, `chrf`, and with `rouge` also `rouge_1`, `rouge_2`, `rouge_l`.
    """
    from sacrebleu.metrics.chrf import CHRF

    scores = {"bleu": bleu(written, references)[0]}
    scores["chrf"] = CHRF().corpus_score(list(written), _aligned(references)).score
    if rouge:
        pairs = list(zip(written, map(_several, references), strict=True))
        for name, kind in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
            scores[name] = 100 * float(np.mean([_rouge(kind, *pair) for pair in pairs]))
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
    lengths = np.array([len(spaced(source).split()) for source in sources])
    parts = [
        part for part in np.array_split(np.argsort(lengths, kind="stable"), groups) if len(part)
    ]
    tokenisation, scores = tokenisation_of(references), []
    for part in parts:
        ours, theirs = ([texts[int(i)] for i in part] for texts in (written, references))
        scores.append(bleu(ours, theirs, tokenisation)[0])
    return [float(lengths[part].mean()) for part in parts], scores


def plot_lines(
    panels: Mapping[str, Mapping[str, tuple[Sequence, Sequence]]], xlabel: str, title: str = ""
) -> Any:
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
            # A line alone is named by the axis.
            named = label if len(lines) > 1 else None
            axis.plot(xs, ys, marker="o", markersize=3.5, label=named)
            if all(float(x).is_integer() for x in xs):
                use_whole_ticks(axis)
        axis.set(xlabel=xlabel, ylabel=name)
        axis.grid(alpha=0.25)
    add_legends(figure)
    add_title(figure, title)
    return figure


class _Words:
    """The tokenizer of rouge-score, for every script: its own one knows the letters a to z alone."""

    def tokenize(self, text: str) -> list[str]:
        return scored_words(text)


def _rouge(kind: str, written: str, references: list[str]) -> float:
    """F1 with the best reference; one of a single word, which has no pair, is scored by its word."""
    from rouge_score.rouge_scorer import RougeScorer

    found = []
    for reference in references:
        alone = len(scored_words(reference)) == 1
        counted = "rouge1" if alone and kind == "rouge2" else kind
        scores = RougeScorer([counted], tokenizer=_Words()).score(reference, written)
        found.append(scores[counted].fmeasure)
    return max(found)


def _is_long(metric: Any, references: str | Sequence[str]) -> bool:
    """Whether every reference of a text has an n-gram of the highest order."""
    lengths = [len(metric.tokenizer(text).split()) for text in _several(references)]
    return min(lengths) >= metric.max_ngram_order


def _several(reference: str | Sequence[str]) -> list[str]:
    return [reference] if isinstance(reference, str) else list(reference)


def _aligned(references: References) -> list[list[Any]]:
    """The first reference of every text, then the second ones, as sacrebleu takes them: None where there is none."""
    return [list(column) for column in itertools.zip_longest(*map(_several, references))]
