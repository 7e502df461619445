"""`RawSet`: how the files of a public data set look in a folder, and how they become records."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from seqjax.data.records import Column, Records
from seqjax.datasets.download import Remote, discard, fetch_all
from seqjax.files.disk import find

ALIASES = {"dev": "validation", "val": "validation", "valid": "validation"}


@dataclasses.dataclass(frozen=True)
class RawSet:
    """A data set as its authors publish it: plain files in a folder.

    Attributes:
      name: what `seqjax.datasets.load` calls it, for example "gum" or "captions/stamps".
      folder: where its files are, below the data folder.
      files: split to the files it is read from, each plain or with `.gz`; the first split is the
        training set.
      reader: `(folder, split) -> columns`.
      remotes: its public addresses; none where it has no address of one file.
    """

    name: str
    folder: str
    files: Mapping[str, tuple[str, ...]]
    reader: Callable[[Path, str], Mapping[str, Column]]
    remotes: tuple[Remote, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits."""
        return tuple(self.files)

    def holds(self, folder: Path) -> bool:
        """Whether at least one file of the set is in `folder`."""
        return any(find(folder, name) for split in self.files.values() for name in split)

    def locate(self, root: Path) -> Path | None:
        """The folder of the set below `root`, or `root` itself where it is that folder; None without any file of it."""
        candidates = [root / self.folder]
        if root.resolve().as_posix().endswith("/" + self.folder):
            candidates.append(root)
        return next((folder for folder in candidates if self.holds(folder)), None)

    def fetch(self, folder: Path) -> None:
        """Puts the published files into `folder`, those that are there already excepted.

        What has no recorded sha256 is read as a test, and does not stay if it is not what it should
        be.

        Raises:
          Unreachable: a host does not answer, or has not a file.
          ValueError: a file is not what it should be.
        """
        fetch_all(self.remotes, folder)
        unknown = tuple(remote for remote in self.remotes if remote.sha256 is None)
        try:
            for split in self.splits if unknown else ():
                if self.has(folder, split):
                    self.read(folder, split)
        except ValueError:
            discard(unknown, folder)
            raise

    def has(self, folder: Path, split: str) -> bool:
        """Whether `folder` holds every file of a split."""
        return all(find(folder, name) for name in self.files[split])

    def read(self, folder: Path, split: str) -> Records:
        """The records of a split.

        Raises:
          ValueError: a file is missing, or is not what it should be (which, and in which line).
        """
        for name in self.files[split]:
            if find(folder, name) is None:
                wanted = (
                    f"{name} or {name}.gz, which the split {split!r} of {self.name} is read from"
                )
                raise ValueError(f"{folder} has no {wanted}; put it there")
        records = Records(self.reader(folder, split))
        if not len(records):
            raise ValueError(
                f"{folder} holds no record of the split {split!r} of {self.name}; complete the files"
            )
        return records


def path_of(folder: Path, name: str) -> Path:
    """The file of that name, plain or gzipped, which is known to exist."""
    return find(folder, name) or folder / name
