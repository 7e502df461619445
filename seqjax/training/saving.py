"""Checkpoints that are written while training goes on."""

import threading
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp

from seqjax.data.prefetch import owned
from seqjax.training.checkpoints import Checkpoints
from seqjax.training.disk import room_for


class BackgroundSaves:
    """Copies a state and writes it in a thread, one at a time; a context that is left when all is written.

    Several processes write together, so they wait.

    Args:
      checkpoints: where to save.
    """

    def __init__(self, checkpoints: Checkpoints):
        self.checkpoints = checkpoints
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> "BackgroundSaves":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits; an error that is under way is not hidden by one of writing."""
        if error is None:
            self.wait()
        else:
            self._join()

    def save(self, step: int, tree: Any, progress: dict[str, Any], best: int | None) -> None:
        """Begins to write a checkpoint, see `Checkpoints.save`; waits for the one before it.

        Raises:
          OSError: the disk is too full for it, or the one before could not be written.
        """
        self.wait()
        if jax.process_count() > 1:
            self._write(step, tree, progress, best)
            return
        with room_for(tree, self.checkpoints.folder):
            # The next training step takes the state's memory over.
            tree = on_host(tree)
        # A thread that the end of the program waits for.
        self._thread = threading.Thread(
            target=self._try, args=(step, tree, progress, best), name="seqjax-save"
        )
        self._thread.start()

    def wait(self) -> None:
        """Waits until the last checkpoint is on the disk.

        Raises:
          OSError: it could not be written.
        """
        self._join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _try(self, *arguments: Any) -> None:
        try:
            self._write(*arguments)
        except BaseException as error:  # Raised again where it is waited for.
            self._error = error

    def _write(self, step: int, tree: Any, progress: dict[str, Any], best: int | None) -> None:
        with room_for(tree, self.checkpoints.folder):
            self.checkpoints.save(step, tree, progress, best=best)


def on_host(tree: Any) -> Any:
    """Copies a pytree's arrays to NumPy's, keys as the numbers that a checkpoint holds of them."""

    def data(leaf: Any) -> Any:
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    # What lies on a CPU is not copied by `device_get`, but seen where it is.
    return owned(jax.device_get(jax.tree.map(data, tree)))
