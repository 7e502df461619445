"""A disk that is full, told before a checkpoint is begun."""

import contextlib
import errno
import logging
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

SMALL = 100_000
"""Bytes that a checkpoint takes beside its arrays: a dozen files of whole blocks."""


@contextlib.contextmanager
def room_for(tree: Any, folder: Path) -> Iterator[None]:
    """Makes sure that a checkpoint can be written: in the block, a full disk is an `OSError` that says so.

    Args:
      tree: what will be written.
      folder: where; it may not be there yet.

    Raises:
      OSError: with `errno.ENOSPC`; the disk is full, or too full for the tree.
    """
    wanted = size_of(tree) + SMALL
    if _free(folder) < wanted:
        raise _full(folder)
    try:
        yield
    except ValueError as error:
        # What TensorStore says where others filled the disk meanwhile, or where a quota ends.
        if "No space left on device" not in str(error) and "quota exceeded" not in str(error):
            raise
        # The writers that were under way each log a traceback of the same.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise _full(folder) from error


def size_of(tree: Any) -> int:
    """Returns the bytes of a pytree's arrays."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def _free(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    return shutil.disk_usage(there).free


def _full(folder: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
