"""Files from a public address: checked, written whole, and given up on within seconds where no network answers."""

import dataclasses
import gzip
import hashlib
import http.client
import io
import shutil
import socket
import tarfile
import tempfile
import threading
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

from seqjax.data.files import find, write_atomically

PATIENCE = 4.0
"""Seconds to wait for a host to answer at all."""


class Unreachable(ValueError):
    """A public address did not answer, or did not have the file."""


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file at a public address.

    Attributes:
      url: where it is.
      name: what it is called in the local folder; ends in `/` for an archive's folder of that name.
      sha256: of the public bytes where they are known; None leaves the check to the reader of the format.
    """

    url: str
    name: str
    sha256: str | None = None

    @property
    def host(self) -> str:
        """The host name of the address."""
        return urllib.parse.urlsplit(self.url).hostname or ""


def fetch_all(remotes: tuple[Remote, ...], folder: Path) -> None:
    """Puts every file into `folder`, those that are there already excepted.

    Raises:
      Unreachable: a host does not answer, or has not the file.
      ValueError: the bytes are not those of the recorded sha256, or no archive.
    """
    for remote in remotes:
        if find(folder, remote.name.removesuffix("/")) is None:
            folder.mkdir(parents=True, exist_ok=True)
            data = fetch(remote)
            if remote.name.endswith("/"):
                _unpack(remote, data, folder)
            else:
                write_atomically(folder / remote.name, data)


def fetch(remote: Remote, timeout: float = 30.0) -> bytes:
    """The bytes of a public file, checked.

    Args:
      remote: which.
      timeout: seconds without a byte after which to give up.

    Raises:
      Unreachable: its host does not answer within `PATIENCE` seconds, or has not the file.
      ValueError: the bytes are not those of the recorded sha256.
    """
    if not answers(remote.url):
        raise Unreachable(f"{remote.host} does not answer")
    try:
        with urllib.request.urlopen(remote.url, timeout=timeout) as response:
            data = response.read()
    except (http.client.HTTPException, OSError) as error:
        raise Unreachable(f"{remote.url} cannot be read ({error})") from None
    found = hashlib.sha256(data).hexdigest()
    if remote.sha256 not in (None, found):
        raise ValueError(
            f"{remote.url}: sha256 is {found}, wanted {remote.sha256}; the download is damaged or has changed"
        )
    return data


def answers(url: str) -> bool:
    """Whether the host of `url` (or the proxy in front of it) accepts a connection within `PATIENCE` seconds."""
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
    """Writes the files below the archive's folder `remote.name` into the same folder here, its own last."""
    name = remote.name.removesuffix("/")
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                inside = Path(member.name)
                content = archive.extractfile(member) if member.isfile() and inside.parent.name == name else None
                if content is not None:
                    (staging / inside.name).write_bytes(content.read())
        staging.chmod(0o755)
        staging.rename(folder / name)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{remote.url}: no tar archive ({reason}); fetch it by hand") from None
    except OSError:
        if not (folder / name).is_dir():  # Else another process has unpacked it meanwhile.
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
