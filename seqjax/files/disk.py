"""Files on disk: written whole or not at all, found plain or gzipped, told apart by sha256."""

import hashlib
import os
import secrets
from pathlib import Path


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` so that `path` holds what it held before or all of the new bytes.

    The bytes go to a temporary file of the same folder, which `os.replace` then renames.

    Args:
      path: the file to write; its folder exists.
      data: everything the file shall hold.

    Raises:
      ValueError: the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(
            f"{path.parent} is not a folder; make it first, then write {path.name} there"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def find(folder: str | os.PathLike, name: str) -> Path | None:
    """Returns the file or folder `name` of a folder, or its gzipped form `name.gz`, or None."""
    for candidate in (Path(folder, name), Path(folder, f"{name}.gz")):
        if candidate.exists():
            return candidate
    return None


def sha256(path: str | os.PathLike) -> str:
    """Returns the sha256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
