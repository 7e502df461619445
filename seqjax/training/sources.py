"""Batches of a list or of an iterator, counted so that a run can resume."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

END = object()
"""Stands for the batch after the last one."""


class Counted:
    """A source of batches that knows how many it handed out, as `fit_batches` wants it: see `counted`."""

    def __init__(self, batches: Iterable[Any], taken: int = 0):
        self._batches = iter(batches)
        self.taken = taken

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = next(self._batches)
        self.taken += 1
        return batch

    def state(self) -> dict[str, int]:
        """How many batches were handed out."""
        return {"batches": self.taken}

    def restore(self, state: dict[str, int]) -> None:
        """Passes over batches until as many are taken; there is no way back.

        Raises:
          ValueError: there are fewer.
        """
        skip(self, state["batches"] - self.taken)


def counted(batches: Iterable[Any], position: Any = None) -> Counted:
    """Counts the batches of a list, of a generator, or of anything else to iterate over.

    Args:
      batches: what to iterate over. What begins anew each time, such as a list, is moved to the
        position; an iterator is taken to stand there.
      position: what `Counted.state` gave; None for the beginning.

    Returns:
      The source.

    Raises:
      TypeError: they cannot be iterated over, or are a single batch.
      ValueError: the position is one of another source, or beyond the end.
    """
    if isinstance(batches, Mapping) or not isinstance(batches, Iterable):
        raise TypeError(
            f"batches is one {type(batches).__name__}; give a list or an iterator of batches"
        )
    taken = taken_at(position)
    if isinstance(batches, Iterator):
        return Counted(batches, taken)
    source = Counted(batches)
    source.restore({"batches": taken})
    return source


def taken_at(position: Any) -> int:
    """Returns how many batches a run took by the position that it saved.

    Raises:
      ValueError: the position is one of another source.
    """
    if position is None:
        return 0
    if not isinstance(position, Mapping) or set(position) != {"batches"}:
        raise ValueError("the run was begun with batches that know their position; give those")
    return position["batches"]


def skip(batches: Iterator[Any], count: int) -> None:
    """Passes over batches.

    Raises:
      ValueError: there are fewer.
    """
    for index in range(count):
        if next(batches, END) is END:
            raise ValueError(
                f"the run took {count} batches and only {index} are there; give those that it began with"
            )
