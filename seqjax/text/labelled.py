"""Labelled texts: the examples of a text classifier, from files and from data sets."""

import os
from pathlib import Path
from typing import NamedTuple

from seqjax import datasets
from seqjax.files import read_classified

CORPORA = ("sst2", "imdb")
"""What `load_labelled` knows."""

SENTIMENTS = ("negative", "positive")
HELD_OUT = 10
"""Every tenth training review of IMDB is one to validate on."""


class LabelledTexts(NamedTuple):
    """Texts with their labels, as `seqjax.text.Classifier` takes examples.

    Attributes:
      texts: what is read.
      labels: the class of each.
    """

    texts: list[str]
    labels: list[str]


def read_labelled(*paths: str | os.PathLike) -> list[LabelledTexts]:
    """Reads files of a label, a tab and a text on each line, or the other way round.

    Args:
      *paths: the training file first, then those that are scored; UTF-8, plain or gzipped. See
        `seqjax.files.read_classified` for how columns are told apart.

    Returns:
      The texts of each file.

    Raises:
      ValueError: a file is empty or a line is not what it should be (which), the training file has
        one label alone, or another file shares no label with it.
    """
    parts = []
    for path, table in zip(paths, read_classified(paths), strict=True):
        if not table.lines:
            raise ValueError(f"{path}: empty; give lines of a label, a tab and a text")
        parts.append(LabelledTexts(table.columns["text"], table.columns["label"]))
    _check_labels(paths, parts)
    return parts


def _check_labels(paths: tuple[str | os.PathLike, ...], parts: list[LabelledTexts]) -> None:
    learnt = sorted(set(parts[0].labels))
    if len(learnt) < 2:
        raise ValueError(
            f"{paths[0]}: every text has the label {learnt[0]!r}; give at least two labels"
        )
    for path, part in zip(paths[1:], parts[1:], strict=True):
        if not set(learnt) & set(part.labels):
            shown, strange = ", ".join(learnt[:10]), min(part.labels)
            raise ValueError(f"{path}: no label is in training ({shown}), such as {strange!r}")


def load_labelled(
    corpus: str, split: str, data_dir: str | os.PathLike | None = None
) -> tuple[LabelledTexts, str]:
    """Reads a split of a corpus of sentiment, its labels `"negative"` and `"positive"`.

    Args:
      corpus: `"sst2"`, sentences of the Stanford Sentiment Treebank (Socher et al., 2013); or
        `"imdb"`, film reviews (Maas et al., 2011), which TFDS prepares.
      split: `"train"`, `"validation"` or `"test"`; every tenth training review of IMDB is one to
        validate on.
      data_dir: folder of the data sets, see `seqjax.datasets.load`.

    Returns:
      The texts, and where they come from.

    Raises:
      ValueError: the corpus or the split is unknown, or it was not found.
    """
    if corpus not in CORPORA:
        raise ValueError(f"corpus {corpus!r} is unknown; choose one of {', '.join(CORPORA)}")
    if corpus == "imdb":
        return _load_imdb(split, data_dir)
    loaded = datasets.load(corpus, split, data_dir)
    columns = loaded.records.columns()
    labels = [SENTIMENTS[number] for number in columns["label"]]
    return LabelledTexts(list(columns["sentence"]), labels), loaded.origin


def _load_imdb(split: str, data_dir: str | os.PathLike | None) -> tuple[LabelledTexts, str]:
    """Reads the labelled reviews of IMDB, 25,000 to learn and as many to test."""
    import tensorflow_datasets as tfds

    from seqjax.datasets.prepared import read_prepared

    if split not in ("train", "validation", "test"):
        raise ValueError(f"imdb has no split {split!r}; choose one of train, validation, test")
    try:
        builder = tfds.builder("imdb_reviews", data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its network library raises.
        raise ValueError(
            f"TFDS cannot prepare imdb_reviews ({type(error).__name__}: {error}); see to the network"
        ) from error
    origin = "imdb_reviews by TFDS, every tenth training review to validate on"
    columns = read_prepared(
        Path(builder.data_dir), "test" if split == "test" else "train"
    ).columns()
    labels = [SENTIMENTS[int(label)] for label in columns["label"]]
    whole = LabelledTexts(list(columns["text"]), labels)
    if split == "test":
        return whole, origin
    places = [
        place
        for place in range(len(labels))
        if (place % HELD_OUT == HELD_OUT - 1) == (split == "validation")
    ]
    chosen = LabelledTexts(
        [whole.texts[place] for place in places], [whole.labels[place] for place in places]
    )
    return chosen, origin
