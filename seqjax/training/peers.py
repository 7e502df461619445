"""The other processes of a run: joined, watched, and told why this one ends."""

import contextlib
import os
import sys
import time
import traceback

import jax

from seqjax.training.sharding import join_processes
from seqjax.training.watch import GRACE, Watch, open_watch


class Peers:
    """The other processes of this one's run: none, until `join`.

    Attributes:
      advice: what a user should do when one of them has died.
    """

    def __init__(self):
        self._watch: Watch | None = None
        self._joined = False
        self.advice = "Start all of them again"

    def join(self, host: str | None) -> None:
        """Begins to watch them; once is enough for all runs of a process.

        Args:
          host: of the first process; None where the platform knows it.
        """
        if not self._joined and jax.process_count() > 1:
            self._joined = True
            self._watch = open_watch(self._lost, host)

    def leave(self) -> None:
        """Tells them that this process has done its part."""
        if self._watch is not None:
            self._watch.leave()

    def end(self, code: int, words: str) -> None:
        """Tells them why this process fails, and ends it at once: JAX would wait for them, and they for it."""
        if self._watch is None:
            return
        self._watch.leave(words)
        if jax.process_index() == 0:
            # They are connected through this process; it stays until they have gone.
            time.sleep(GRACE + 1)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def fail(self, error: Exception) -> None:
        """Ends this process over an error that is a defect or the end of another process."""
        if self._watch is None:
            return
        # A process that is gone breaks the computations of the others. If that is the reason,
        # `_lost` ends this one.
        time.sleep(GRACE + 1)
        traceback.print_exception(error)
        self.end(1, f"{type(error).__name__}: {error}".splitlines()[0])

    def _lost(self, index: int, words: str) -> None:
        if words:
            why = f" ({words.removeprefix('error: ')})"
        else:
            why = "; it was killed, or its machine is gone"
        line = f"error: process {index} of {jax.process_count()} has ended{why}. {self.advice}\n"
        # Past every lock that the thread at work may hold.
        os.write(2, line.encode())
        os._exit(1)


PEERS = Peers()
"""Those of this process."""


def use_devices(count: int) -> None:
    """Joins the processes that `SEQJAX_PROCESSES` names, and lets a CPU show its share of the devices asked for.

    Raises:
      ValueError: there are fewer devices, or the processes cannot share them evenly.
    """
    spec = os.environ.get("SEQJAX_PROCESSES")
    processes = 1
    if spec and not jax.distributed.is_initialized():
        processes = join_processes(spec)
    if count > 1 and processes > 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", max(1, count // processes))
    PEERS.join(_host_of(spec))
    if count > len(jax.devices()):
        raise ValueError(f"--devices is {count}; this machine shows {len(jax.devices())}")
    if count % jax.process_count():
        raise ValueError(
            f"--devices is {count}; give a multiple of the {jax.process_count()} processes"
        )


def _host_of(spec: str | None) -> str | None:
    """Returns the host of process 0 in `HOST:PORT,COUNT,INDEX`."""
    if not spec or spec == "auto":
        return None
    return spec.split(",")[0].rpartition(":")[0].strip("[]")
