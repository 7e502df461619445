"""`prefetch`: the next batches are read and sent to the device while the current one is worked on."""

import copy
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from seqjax.data.stream import Resumable

_END = object()


def owned(tree: Any) -> Any:
    """Returns the pytree with every NumPy array copied, so that no later change to the given arrays reaches it.

    `jax.device_put` on a CPU may use the memory of a NumPy array as it is, and on an accelerator it
    returns before the array has been read. Whoever fills one buffer again and again would change
    what was handed out before.

    Args:
      tree: any pytree; leaves that are no NumPy arrays stay as they are.
    """
    return jax.tree.map(lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


class Prefetch:
    """A resumable iterator that a background thread keeps `size` items ahead; see `prefetch`."""

    def __init__(
        self, iterator: Resumable, size: int = 2, device_put: Callable[[Any], Any] = jax.device_put
    ):
        if size < 1:
            raise ValueError(f"size is {size}; give at least 1")
        self.iterator, self.size, self.device_put = iterator, size, device_put
        self._state = copy.deepcopy(iterator.state())
        self._worker: _Worker | None = None
        self._closed = False

    def __iter__(self) -> "Prefetch":
        return self

    def __next__(self) -> Any:
        if self._closed:
            raise ValueError("this prefetch is closed; make a new one over the iterator")
        if self._worker is None:
            self._worker = _Worker(self.iterator, self.size, self.device_put)
            weakref.finalize(self, self._worker.stop, patience=1.0)
        item, state, error = self._worker.take()
        if item is _END:
            self._stop()
            self._closed = error is not None
            raise error or StopIteration
        self._state = state
        return item

    def state(self) -> dict[str, Any]:
        """The position after the last item that was handed out, whatever has been read ahead."""
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken; what has been read ahead is thrown away."""
        self._stop()
        self.iterator.restore(state)
        self._state = copy.deepcopy(self.iterator.state())
        self._closed = False

    def close(self) -> None:
        """Stops the thread and waits for it; the iterator then stands where `state()` says. May be called twice."""
        if not self._closed and self._worker is not None:
            self._stop()
            self.iterator.restore(self._state)
        self._closed = True

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """The thread and its queue. It knows nothing of `Prefetch`, so that a forgotten one is collected and stops it."""

    def __init__(self, iterator: Resumable, size: int, device_put: Callable[[Any], Any]):
        self.items: queue.Queue = queue.Queue(size)
        self.stopped = threading.Event()
        self.thread = threading.Thread(
            target=self.run, args=(iterator, device_put), daemon=True, name="seqjax-prefetch"
        )
        self.thread.start()

    def run(self, iterator: Resumable, device_put: Callable[[Any], Any]) -> None:
        error = None
        try:
            while not self.stopped.is_set():
                # The source may fill the same arrays again, and change its state, while this item
                # waits its turn.
                item = owned(next(iterator))
                self.give((device_put(item), copy.deepcopy(iterator.state()), None))
        except StopIteration:
            pass
        except BaseException as raised:  # Raised again where the item is asked for.
            error = raised
        self.give((_END, None, error))

    def give(self, entry: tuple) -> None:
        while not self.stopped.is_set():
            try:
                return self.items.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def take(self) -> tuple:
        return self.items.get()

    def stop(self, patience: float | None = None) -> None:
        self.stopped.set()
        if threading.current_thread() is not self.thread:
            self.thread.join(patience)


def prefetch(
    iterator: Resumable, size: int = 2, device_put: Callable[[Any], Any] = jax.device_put
) -> Prefetch:
    """Reads ahead in a background thread and puts the items on the device.

    Each item's NumPy arrays are copied as soon as they are read: the source may fill the same
    buffers again.

    Args:
      iterator: such as `batches(...)` or `mapped(...)`; leave it alone until `close`.
      size: how many items to be ahead at most.
      device_put: what to do with an item in the thread;
        `functools.partial(jax.device_put, device=sharding)` shards.

    Returns:
      An iterator over the items. Its `state()` is the position after the last one handed out, so
      that saving and resuming is exact although more has been read. What the thread raises is
      raised by `next`. Close it, or use it as a context manager, to stop the thread; being
      forgotten stops it too.

    Raises:
      ValueError: `size` is less than 1.
    """
    return Prefetch(iterator, size, device_put)
