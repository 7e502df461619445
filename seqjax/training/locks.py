"""One writer for a run folder, by a lock that ends with its process."""

import errno
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import IO

NAME = ".lock"
"""The lock's file in a run folder. It stays behind; what locks is the system, which forgets a process that ends."""

_held: dict[Path, IO[str]] = {}

# What the system answers where another process holds the lock; Windows denies access.
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class FolderLocked(OSError):
    """Another process writes into the folder."""


def lock_folder(folder: str | os.PathLike) -> None:
    """Makes this process the one that writes into a folder, until it ends or calls `unlock_folders`.

    A crash leaves no lock behind. A process may lock a folder again that it has locked. A disk that
    knows no locks is written without one.

    Args:
      folder: it exists.

    Raises:
      FolderLocked: another process has locked it; the words say which.
    """
    path = Path(folder).resolve() / NAME
    if path in _held:
        return
    # Opened for appending: the holder's name must not be wiped by one who only asks.
    file = path.open("a+", encoding="utf-8")
    try:
        _lock(file)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        if error.errno not in _TAKEN:
            return
        raise FolderLocked(
            f"{folder} is being written by {holder or 'another process'}; let it end first"
        ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    _held[path] = file


def unlock_folder(folder: str | os.PathLike) -> None:
    """Lets other processes write into a folder again; one that this process has not locked is no matter."""
    file = _held.pop(Path(folder).resolve() / NAME, None)
    if file is not None:
        file.close()


def unlock_folders() -> None:
    """Lets other processes write into the folders that this one has locked."""
    while _held:
        _, file = _held.popitem()
        file.close()


def _locker() -> Callable[[IO[str]], None]:
    """Returns the system's way to lock an open file without waiting."""
    if os.name == "nt":
        import msvcrt

        # One byte, far behind what is written: Windows keeps others from reading what is locked.
        def lock(file: IO[str]) -> None:
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
            file.seek(0)

        return lock
    import fcntl

    return lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_lock = _locker()
