"""Requests: what a person says to a machine, its words with their slots, and what is wanted."""

import dataclasses
import os
from pathlib import Path

from seqjax import datasets
from seqjax.data import fingerprint
from seqjax.files import read_requests as read_files
from seqjax.text.tagged import TaggedSentences

FILES = ("seq.in", "seq.out", "label")
"""Of a folder of requests: their words, the tags of the words, their intents."""

CORPORA = ("atis", "snips")
"""What `load_requests` knows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Requests(TaggedSentences):
    """Requests, examples of an `IntentTagger`.

    Attributes:
      intents: what each one wants.
    """

    intents: list[str]

    @property
    def fingerprint(self) -> str:
        """A digest of words, tags and intents, wherever they lie."""
        return fingerprint((self.tokens, self.tags, self.intents))


def read_requests(folder: str | os.PathLike) -> Requests:
    """Reads the requests of a folder: `seq.in`, `seq.out` and `label`, line i about one of them.

    Raises:
      ValueError: a file is missing or empty, or a line is not what it should be (which).
    """
    table = read_files(*(Path(folder, name) for name in FILES))
    if not table["tokens"]:
        raise ValueError(f"{folder}: empty; give at least one request")
    return Requests(table["tokens"], table["tags"], str(folder), intents=table["intent"])


def load_requests(corpus: str, split: str, data_dir: str | None = None) -> Requests:
    """Loads a part of a corpus of requests that `seqjax.datasets` knows.

    Args:
      corpus: `"atis"`, questions about flights, or `"snips"`, requests to an assistant.
      split: `"train"`, `"validation"` or `"test"`.
      data_dir: see `seqjax.datasets.load`.

    Raises:
      DataUnavailable: it was not found and could not be downloaded.
    """
    part = datasets.load(corpus, split, data_dir)
    table = part.records.columns()
    return Requests(
        list(table["tokens"]), list(table["tags"]), part.origin, intents=list(table["intent"])
    )
