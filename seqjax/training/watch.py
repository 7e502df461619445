"""A line between the processes of a run, over which each learns at once that another has ended.

Process 0 listens and the others call it. A process that ends without a word has died: the system
closes its line. JAX itself notices after a hundred seconds, and then aborts.
"""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

PATIENCE = 5.0
"""Seconds to wait for a line to be made."""

GRACE = 3.0
"""Seconds in which processes that fail for one reason may each say so."""

_LETTER = 2048  # bytes of the invitation that process 0 sends to all

Told = Callable[[int, str], None]
"""`told(index, words)`: which process has ended, and its last words, empty where it was killed."""


class Watch:
    """The lines of one process to others; `open_watch` makes one.

    Args:
      own: index of this process.
      lines: an open connection for each process at the other end, by its index.
      told: called once, in a thread, when a process has ended that should not have.
    """

    def __init__(self, own: int, lines: dict[int, socket.socket], told: Told):
        self._own, self._lines, self._told = own, lines, told
        self._over = threading.Lock()
        for index, line in lines.items():
            _keep_alive(line)
            threading.Thread(
                target=self._listen, args=(index, line), daemon=True, name=f"seqjax-watch-{index}"
            ).start()

    def leave(self, words: str = "") -> None:
        """Tells the others that this process ends: in good order, or for a reason given in words."""
        if words:
            # Held for good: this process ends for a reason of its own and speaks of no other's.
            self._over.acquire(blocking=False)
        self._send({"ended": self._own, "words": words})

    def _send(self, message: dict[str, Any], but: int | None = None) -> None:
        for index, line in self._lines.items():
            if index != but:
                with contextlib.suppress(OSError):
                    line.sendall(json.dumps(message).encode() + b"\n")

    def _listen(self, index: int, line: socket.socket) -> None:
        """Reads what a process says until it leaves or its line breaks."""
        try:
            with line.makefile("rb") as letters:
                for letter in letters:
                    message = json.loads(letter)
                    if message["ended"] == index and not message["words"]:
                        return
                    self._pass_on(message, index)
        except (OSError, ValueError):
            pass
        self._pass_on({"ended": index, "words": ""}, index)

    def _pass_on(self, message: dict[str, Any], origin: int) -> None:
        """Tells the other processes, and then this one, of an end; only the first counts."""
        if not self._over.acquire(blocking=False):
            return
        self._send(message, but=origin)
        if message["words"]:
            # This process may be about to fail for the same reason, in words of its own.
            self._over.release()
            time.sleep(GRACE)
            if not self._over.acquire(blocking=False):
                return
        self._told(message["ended"], message["words"])


def open_watch(told: Told, host: str | None = None) -> Watch | None:
    """Makes the lines of this process. All must call it, after `join_processes`.

    Args:
      told: `told(index, words)`, called once in a thread when another process has ended that should
        not have.
      host: a name of the machine of process 0, if one is known.

    Returns:
      A `Watch`; None for a single process, or where process 0 cannot be reached.
    """
    if jax.process_count() == 1:
        return None
    if jax.process_index() == 0:
        with _server() as server:
            token = secrets.token_hex(16)
            names = [name for name in (host, *_own_names()) if name]
            _invitation({"port": server.getsockname()[1], "names": names, "token": token})
            lines = dict(_callers(server, token, jax.process_count() - 1))
        return Watch(0, lines, told) if lines else None
    letter = _invitation(None)
    names = [host, *letter["names"]] if host else letter["names"]
    for name in dict.fromkeys(names):
        with contextlib.suppress(OSError):
            line = socket.create_connection((name, letter["port"]), timeout=PATIENCE)
            line.settimeout(None)
            line.sendall(
                json.dumps({"token": letter["token"], "index": jax.process_index()}).encode()
                + b"\n"
            )
            return Watch(jax.process_index(), {0: line}, told)
    return None


def _server() -> socket.socket:
    """Returns a socket that hears callers of either internet protocol."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _own_names() -> Iterator[str]:
    """Yields what other machines may call this one: its name, and the address that it sends from."""
    yield socket.getfqdn()
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # A datagram socket that connects sends nothing, but it has to choose a source address.
        probe.connect(("192.0.2.1", 9))
        yield probe.getsockname()[0]


def _invitation(letter: dict[str, Any] | None) -> dict[str, Any]:
    """Returns process 0's letter on every process."""
    from jax.experimental import multihost_utils

    text = json.dumps(letter).encode() if letter is not None else b""
    page = np.frombuffer(text.ljust(_LETTER), np.uint8)
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(page)).tobytes())


def _callers(server: socket.socket, token: str, count: int) -> Iterator[tuple[int, socket.socket]]:
    """Yields the index and line of each process that calls in time and knows the token."""
    deadline = time.monotonic() + PATIENCE
    while count:
        server.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            line, _ = server.accept()
        except TimeoutError:
            return
        line.settimeout(PATIENCE)
        greeting = _first_letter(line)
        if greeting.get("token") != token:
            line.close()
            continue
        line.settimeout(None)
        count -= 1
        yield greeting["index"], line


def _first_letter(line: socket.socket) -> dict[str, Any]:
    """Returns what a caller says first; nothing where it is no process of the run."""
    # Byte by byte: what comes after the line is for whoever listens next.
    letter = b""
    with contextlib.suppress(OSError, ValueError):
        while not letter.endswith(b"\n") and len(letter) < _LETTER:
            byte = line.recv(1)
            if not byte:
                break
            letter += byte
        found = json.loads(letter)
        return found if isinstance(found, dict) else {}
    return {}


def _keep_alive(line: socket.socket) -> None:
    """Makes the system ask after a silent machine, so that one without power is missed within half a minute."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
