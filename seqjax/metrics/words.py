"""What was said and what was heard, word by word; `jiwer` (extra `experiments`) finds which words stand for which."""

import itertools
from collections.abc import Sequence

from seqjax.data.words import spaced


def word_errors(said: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """Computes the error rates of words, characters and sentences over a whole set.

    Of scripts that are written without blanks, as Chinese and Thai, every character is a word.

    Args:
      said: texts.
      heard: what was made of each.

    Returns:
      `wer`: words substituted, left out and put in for each word said; `cer`: the same of
      characters; `ser`: share of texts that differ.

    Example:
      >>> word_errors(["one two", "three"], ["one twa", "three"])
      {'wer': 0.3333333333333333, 'cer': 0.08333333333333333, 'ser': 0.5}
    """
    import jiwer

    wrong = [text != guess for text, guess in zip(said, heard, strict=True)]
    return {
        "wer": jiwer.wer(_spaced(said), _spaced(heard)),
        "cer": jiwer.cer(list(said), list(heard)),
        "ser": sum(wrong) / len(wrong),
    }


def word_pairs(said: Sequence[str], heard: Sequence[str], nothing: str) -> list[tuple[str, str]]:
    """Every word said with the one heard in its place; `nothing` stands for none on either side.

    Example:
      >>> word_pairs(["one two", "six"], ["won two oh", ""], "-")
      [('one', 'won'), ('two', 'two'), ('-', 'oh'), ('six', '-')]
    """
    import jiwer

    found, pairs = jiwer.process_words(_spaced(said), _spaced(heard)), []
    for left, right, chunks in zip(
        found.references, found.hypotheses, found.alignments, strict=True
    ):
        for chunk in chunks:
            sides = (
                left[chunk.ref_start_idx : chunk.ref_end_idx],
                right[chunk.hyp_start_idx : chunk.hyp_end_idx],
            )
            pairs += itertools.zip_longest(*sides, fillvalue=nothing)
    return pairs


def _spaced(texts: Sequence[str]) -> list[str]:
    """The texts with blanks between their words."""
    return list(map(spaced, texts))
