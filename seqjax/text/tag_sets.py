"""Sets of tags: schemes of spans, what breaks them, and how predictions are scored."""

import collections
import re
from collections.abc import Sequence

from seqjax.data import Vocabulary
from seqjax.losses import crf
from seqjax.text.tagged import TaggedSentences


def stray_tag(tags: Vocabulary) -> str | None:
    """Finds a tag that keeps the others from being spans of a scheme; None where they look like none."""
    spans = [tag for tag in tags.tokens if re.fullmatch(r"[BIELSUMW]-.+", tag)]
    if not spans or 2 * len(spans) < len(tags.tokens):
        return None
    stray = [tag for tag in tags.tokens if tag not in spans and tag != "O"]
    return (stray or spans)[0]


def strangers(part: TaggedSentences, known: Vocabulary) -> collections.Counter[str]:
    """Counts the tags that training lacks."""
    counts = collections.Counter(tag for tags in part.tags for tag in tags)
    for tag in known.tokens:
        counts.pop(tag, None)
    return counts


def check_tags(part: TaggedSentences, known: Vocabulary, scheme: str | None) -> None:
    """Refuses words without a tag, and tags that break their scheme in sentences that can be learnt.

    Raises:
      ValueError: says where the first one is; or no tag is known, for the files have different tag
        sets.
    """
    flat = [tag for tags in part.tags for tag in tags]
    if "_" in flat:
        raise ValueError(f"{part.place(flat.index('_'))}: the word has no tag (_); add it")
    if flat and strangers(part, known).total() == len(flat):
        raise ValueError(
            f"{part.place(0)}: the tag {flat[0]!r}, and all others of the file, do not occur in training"
        )
    if scheme is None:
        return
    allowed = crf.SCHEMES[scheme](known.tokens)
    count = 0
    for tags in part.tags:
        if tags and all(tag in known for tag in tags):
            _check_sentence(part, count, tags, known, allowed, scheme)
        count += len(tags)


def _check_sentence(
    part: TaggedSentences,
    count: int,
    tags: list[str],
    known: Vocabulary,
    allowed: crf.Constraints,
    scheme: str,
) -> None:
    """Refuses a sentence whose tags break the scheme; it begins at the `count`-th word of all."""
    ids = known.encode(tags)
    steps = [allowed.start[ids[0]], *allowed.transitions[ids[:-1], ids[1:]]]
    if not all(steps):
        wrong = steps.index(False)
        before = f"after {tags[wrong - 1]}" if wrong else "at the start of a sentence"
        raise ValueError(
            f"{part.place(count + wrong)}: {tags[wrong]} {before} is not {scheme}; "
            "mend it, or learn without a CRF (--no-crf)"
        )
    if not allowed.end[ids[-1]]:
        place = part.place(count + len(ids) - 1)
        raise ValueError(
            f"{place}: {tags[-1]} at the end of a sentence is not {scheme}; "
            "mend it, or learn without a CRF (--no-crf)"
        )


def score(
    truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]], scheme: str | None
) -> dict[str, float]:
    """Computes the accuracy of words, and where the tags have a scheme the F1 of spans (`span_f1`)."""
    right = total = 0
    for tags, guesses in zip(truth, found, strict=True):
        right += sum(tag == guess for tag, guess in zip(tags, guesses, strict=True))
        total += len(tags)
    metrics = {"accuracy": right / max(total, 1)}
    if scheme is not None:
        from seqeval.metrics import f1_score

        spans = _in_bioes(truth, scheme), _in_bioes(found, scheme)
        metrics["span_f1"] = float(f1_score(*spans, zero_division=0))  # pyright: ignore
    return metrics


def table_of_spans(
    truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]], scheme: str
) -> str:
    """Lists precision, recall and F1 of every kind of span."""
    from seqeval.metrics import classification_report

    spans = _in_bioes(truth, scheme), _in_bioes(found, scheme)
    return str(classification_report(*spans, digits=4, zero_division=0))  # pyright: ignore


def spans(tags: Sequence[str], scheme: str | None) -> list[tuple[str, slice]]:
    """Lists the spans of a sentence, each with its kind and its place; none without a scheme.

    Example:
      >>> spans(["O", "B-city", "I-city"], "BIO")
      [('city', slice(1, 3, None))]
    """
    if scheme is None:
        return []
    from seqeval.metrics.sequence_labeling import get_entities

    found = get_entities(crf.in_bioes(tags, scheme))
    return [(kind, slice(first, last + 1)) for kind, first, last in found]


def _in_bioes(rows: Sequence[Sequence[str]], scheme: str) -> list[list[str]]:
    return [crf.in_bioes(tags, scheme) for tags in rows]
