"""Files from a public address: checked, written whole, and given up within seconds offline."""

import dataclasses
import gzip
import hashlib
import http.client
import io
import re
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path

from seqjax.files.disk import find, sha256, write_atomically

PATIENCE = 4.0
"""Seconds to wait for a host to answer at all."""

LONGEST = 900.0
"""Seconds that one file may take, however steadily it comes."""

LARGEST, UNPACKED = 2**28, 2**30
"""Bytes of a file, and of the files of an archive together, at most."""

GITHUB = "https://raw.githubusercontent.com/"

PIECE = 2**16
PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head|script|title)\b",
    re.IGNORECASE | re.DOTALL,
)


class Unreachable(ValueError):
    """A public address did not answer, or did not have the file."""


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file at a public address.

    Attributes:
      url: where it is.
      name: what it is called in the local folder; ends in `/` for an archive's folder of that name.
      sha256: of the public bytes where they are known; None leaves the check to the reader of the
        format.
    """

    url: str
    name: str
    sha256: str | None = None

    @property
    def host(self) -> str:
        """The host name of the address."""
        return urllib.parse.urlsplit(self.url).hostname or ""


def remotes_at(
    address: str, sums: Mapping[str, str | None], ending: str = ""
) -> tuple[Remote, ...]:
    """Lists files that lie side by side at one address.

    Args:
      address: what each url begins with.
      sums: name of each file, here and there, to its sha256 where it is known.
      ending: what each name ends with beside, such as ".gz".
    """
    names = {f"{name}{ending}": sha256 for name, sha256 in sums.items()}
    return tuple(Remote(address + name, name, sha256) for name, sha256 in names.items())


def fetch_all(remotes: tuple[Remote, ...], folder: Path) -> None:
    """Puts every file into `folder`, except those that are there already.

    A file that is there without its recorded sha256 is fetched again.

    Args:
      remotes: which.
      folder: where to; it is made.

    Raises:
      Unreachable: a host does not answer, or has not the file.
      ValueError: the bytes are not those of the recorded sha256, a page of a browser, too many, or
        no whole archive.
    """
    for remote in remotes:
        if _is_there(remote, folder):
            continue
        (folder / remote.name).parent.mkdir(parents=True, exist_ok=True)
        data = fetch(remote)
        if remote.name.endswith("/"):
            _unpack(remote, data, folder)
        else:
            write_atomically(folder / remote.name, data)


def discard(remotes: tuple[Remote, ...], folder: Path) -> None:
    """Removes what was fetched, so that the next call fetches it again."""
    for path in (folder / remote.name for remote in remotes):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def fetch(remote: Remote, timeout: float = 30.0) -> bytes:
    """Fetches a public file and checks its bytes.

    Args:
      remote: which.
      timeout: seconds without a byte after which to give up.

    Raises:
      Unreachable: its host does not answer within `PATIENCE` seconds, has not the file, breaks off,
        or takes longer than `LONGEST` seconds for all of it.
      ValueError: the bytes are not those of the recorded sha256, more than `LARGEST`, a page of a
        browser such as a login, or a gzip file that is cut off.
    """
    if not answers(remote.url):
        raise Unreachable(f"{remote.host} does not answer")
    try:
        with urllib.request.urlopen(remote.url, timeout=timeout) as response:
            data = _read(remote, response, time.monotonic() + LONGEST)
    except (http.client.HTTPException, OSError) as error:
        raise Unreachable(f"{remote.url} cannot be read ({error})") from None
    _check(remote, data)
    return data


def _read(remote: Remote, response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Reads a whole response, within the limits of size and of time."""
    promised, data = response.length, bytearray()
    # `read1` waits for one packet at most, so that a host that sends a byte now and then is
    # noticed.
    while piece := response.read1(PIECE):
        data += piece
        if len(data) > LARGEST:
            raise ValueError(
                f"{remote.url}: more than {LARGEST:,} bytes; fetch it by hand if it shall be so large"
            )
        if time.monotonic() > deadline:
            raise Unreachable(
                f"{remote.url} cannot be read ({len(data):,} bytes came in {LONGEST:g} seconds)"
            )
    if promised is not None and len(data) < promised:
        raise Unreachable(
            f"{remote.url} cannot be read (it broke off after {len(data):,} of {promised:,} bytes)"
        )
    return bytes(data)


def _check(remote: Remote, data: bytes) -> None:
    """Refuses bytes that are not those of the file."""
    found = hashlib.sha256(data).hexdigest()
    if remote.sha256 == found:
        return
    if PAGE.match(data):
        raise ValueError(
            f"{remote.url}: a page for a browser came, perhaps of a login; fetch the file by hand"
        )
    if remote.sha256 is not None:
        raise ValueError(
            f"{remote.url}: sha256 is {found}, wanted {remote.sha256}; the download is damaged or has changed"
        )
    if not data:
        raise ValueError(f"{remote.url}: empty; fetch it by hand")
    if remote.name.endswith(".gz"):
        try:
            with gzip.open(io.BytesIO(data)) as file:
                while file.read(PIECE):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{remote.url}: damaged gzip file ({error}); fetch it by hand"
            ) from None


def _is_there(remote: Remote, folder: Path) -> bool:
    """Tells whether a folder holds the file, plain or gzipped, with its sum if one is recorded."""
    path = find(folder, remote.name.removesuffix("/"))
    if path is None:
        return False
    # What was unzipped by hand has another sum.
    return (
        remote.sha256 is None
        or path.is_dir()
        or path.name != remote.name
        or sha256(path) == remote.sha256
    )


def answers(url: str) -> bool:
    """Tells whether the host of `url`, or its proxy, accepts a connection within `PATIENCE`."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    connected = threading.Event()

    def connect():
        try:
            socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
            connected.set()
        except OSError:
            pass

    # In a thread, because looking up a name knows no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return connected.is_set()


def _unpack(remote: Remote, data: bytes, folder: Path) -> None:
    """Writes the files of the archive's folder `remote.name` into a folder of that name here."""
    name = remote.name.removesuffix("/")
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            _extract(archive, name, staging)
        if not any(staging.iterdir()):
            raise ValueError(
                f"{remote.url}: the archive has no file in a folder {name}; fetch it by hand"
            )
        staging.chmod(0o755)
        staging.rename(folder / name)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{remote.url}: no whole tar archive ({reason}); fetch it by hand"
        ) from None
    except OSError:
        if not (folder / name).is_dir():  # Else another process has unpacked it meanwhile.
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _extract(archive: tarfile.TarFile, name: str, folder: Path) -> None:
    """Writes the files of an archive's folder of that name."""
    size = 0
    for member in archive:
        size += member.size
        if size > UNPACKED:
            raise tarfile.TarError(f"more than {UNPACKED:,} bytes unpacked")
        inside = Path(member.name)
        content = (
            archive.extractfile(member) if member.isfile() and inside.parent.name == name else None
        )
        if content is not None:
            (folder / inside.name).write_bytes(content.read())
    # An archive ends with a block of zeros; one that is cut between two files has none. Reading on
    # to the end of a gzip file compares its sum.
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    end = archive.fileobj.read(tarfile.BLOCKSIZE)
    if len(end) < tarfile.BLOCKSIZE or any(end):
        raise tarfile.TarError("it is cut off")
    while archive.fileobj.read(PIECE):
        pass
