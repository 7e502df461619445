"""Signals that end a run in good order."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from typing import Any

STOPPING = ("SIGTERM", "SIGINT", "SIGHUP")
"""Names of the signals that end a run; Windows has no SIGHUP."""


@dataclasses.dataclass
class Interrupt:
    """Remembers the signal that asked a run to stop.

    Attributes:
      number: of the first signal that came, 0 before.
    """

    number: int = 0

    def handle(self, number: int, frame: Any) -> None:
        """Notes a signal; a second SIGINT raises KeyboardInterrupt as usual."""
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Notes SIGTERM, SIGINT and SIGHUP in place of ending the process; outside the main thread none is noted.

    Yields:
      An `Interrupt` to look at.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {}
    for number in _stopping():
        before[number] = signal.signal(number, interrupt.handle)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping() -> list[int]:
    """Returns the signals to note; a SIGHUP that is ignored, as under `nohup`, stays ignored."""
    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    hangup = getattr(signal, "SIGHUP", None)
    ignored = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
    return [number for number in numbers if not (ignored and number == hangup)]
