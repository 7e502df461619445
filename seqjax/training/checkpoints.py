"""Checkpoints that survive being killed, cut short or damaged."""

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from seqjax.training.state import is_deleted

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
NOT_FINITE = "not_finite.txt"
"""Lies beside the arrays of a state that is not finite, and says where: such a one displaces no other."""


class CheckpointError(ValueError):
    """Reports a checkpoint that is missing, damaged, or of something else."""


class Checkpoints:
    """Keeps a checkpoint for each step: a pytree of arrays (orbax) and a JSON-able dict beside it.

    A checkpoint counts only when it is complete: it is written under another name, its files are
    listed with their digests in `manifest.json`, and then it is renamed. Of several processes all
    take part and the first one commits. Arrays keep their dtypes, those of 64 bits too where JAX
    works with 32.

    Args:
      folder: where they are; made at the first save.
      keep: how many of the newest to keep, besides the best; where some of them hold NaN or
        infinity, also as many of the newest that do not.

    Raises:
      ValueError: `keep` is below 1.
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"Checkpoints: keep is {keep}; give at least 1")
        self.folder = Path(folder).absolute()
        self.keep = keep

    def steps(self) -> list[int]:
        """Lists the steps whose checkpoints are complete, oldest first."""
        return [step for step in self._begun() if (self._path(step) / MANIFEST).is_file()]

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _begun(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def save(self, step: int, tree: Any, progress: dict[str, Any], best: int | None = None) -> None:
        """Writes the checkpoint of a step, then drops those no longer wanted.

        Args:
          step: its name; one that is already there stays as it is, unless it is not finite.
          tree: a pytree of arrays and keys.
          progress: a JSON-able dict.
          best: the step to keep whatever its age.
        """
        import orbax.checkpoint as ocp

        target = self._path(step)
        if self._damage(step) is None and not self._is_marked(step):
            return
        fault = _fault(tree)
        draft = self.folder / f".draft-{step:08d}"
        first = jax.process_index() == 0
        if first:
            self.folder.mkdir(parents=True, exist_ok=True)
            for stale in (*self.folder.glob(".draft-*"), target):
                shutil.rmtree(stale, ignore_errors=True)
            draft.mkdir()
        # All processes write their parts of the arrays.
        _wait_for_all("draft")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(draft / "state", _keys_to_data(tree))
            checkpointer.wait_until_finished()
        if first:
            (draft / PROGRESS).write_text(json.dumps(progress))
            if fault is not None:
                (draft / NOT_FINITE).write_text(fault)
            (draft / MANIFEST).write_text(json.dumps(_digests(draft)))
            # On the disk before it is renamed, so that a complete name means complete files.
            _flush(draft)
            os.rename(draft, target)
            self._drop(step, best)
        _wait_for_all("commit")

    def restore(self, like: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Reads a checkpoint; without a step the newest sound one, warning of damaged ones.

        One that holds NaN or infinity where `like` does not counts as damaged.

        Args:
          like: a pytree of the same structure, shapes and dtypes, which also says where arrays
            shall live.
          step: which one; None for the newest.

        Returns:
          The step, the pytree, and the dict saved beside it.

        Raises:
          CheckpointError: there is none, none is sound, or it belongs to another model.
        """
        steps = self._begun() if step is None else [step]
        if not steps:
            raise CheckpointError(
                f"{self.folder} holds no checkpoint; train first, or name another run folder"
            )
        for candidate in reversed(steps):
            damage = self._damage(candidate)
            if damage is None:
                tree, progress = self._read(candidate, like)
                damage = _fault(tree, like)
                if damage is None:
                    return candidate, tree, progress
            if step is None:
                warnings.warn(
                    f"checkpoint {self._path(candidate)} is damaged ({damage}); passed over",
                    stacklevel=2,
                )
        raise CheckpointError(f"no sound checkpoint in {self.folder}: {damage}; start the run anew")

    def progress(self) -> dict[str, Any]:
        """Reads the dict of the newest complete checkpoint.

        Raises:
          CheckpointError: there is none.
        """
        steps = self.steps()
        if not steps:
            raise CheckpointError(f"{self.folder} holds no checkpoint; train first")
        return json.loads((self._path(steps[-1]) / PROGRESS).read_text())

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        import orbax.checkpoint as ocp

        path = self._path(step)
        wanted = _keys_to_data(like)
        try:
            with ocp.StandardCheckpointer() as checkpointer:
                _check_arrays(path, _metadata(checkpointer, path), wanted)
                with _unabridged(wanted):
                    data = checkpointer.restore(path / "state", jax.tree.map(_abstract, wanted))
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(
                f"{path} cannot be read ({type(error).__name__}); it may be of another version"
            ) from error
        return _data_to_keys(data, like), json.loads((path / PROGRESS).read_text())

    def _damage(self, step: int) -> str | None:
        """Says what is wrong with a checkpoint; None for one that is whole."""
        path = self._path(step)
        try:
            listed = json.loads((path / MANIFEST).read_text())
            if listed == _digests(path):
                return None
            return "its files are not those of its manifest"
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def _is_marked(self, step: int) -> bool:
        return (self._path(step) / NOT_FINITE).is_file()

    def _drop(self, newest: int, best: int | None) -> None:
        """Drops what is old or left half dropped, and the later steps of a run that went back."""
        steps = [step for step in self.steps() if step <= newest]
        finite = [step for step in steps if not self._is_marked(step)]
        wanted = {*steps[-self.keep :], *finite[-self.keep :], best}
        for path in self.folder.iterdir():
            if path.name.isdigit() and int(path.name) not in wanted:
                shutil.rmtree(path, ignore_errors=True)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _keys_to_data(tree: Any) -> dict[str, Any]:
    """Returns the arrays to be written by their paths, without empty ones, which orbax refuses."""

    def data(leaf: Any) -> Any:
        return jax.random.key_data(leaf) if _is_key(leaf) else leaf

    named = _plain(jax.tree.map(data, tree))
    return {name: leaf for name, leaf in named.items() if np.size(leaf)}


def _plain(tree: Any) -> dict[str, Any]:
    """Returns the leaves by their paths: the same on disk whatever the containers in memory."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _data_to_keys(data: dict[str, Any], like: Any) -> Any:
    restored = [_as_kind_of(leaf, data.get(name)) for name, leaf in _plain(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def _as_kind_of(leaf: Any, data: Any) -> Any:
    """Makes what was read a key or a number of Python, where the template's leaf is one."""
    if data is None:
        return np.zeros(np.shape(leaf), _dtype(leaf))
    if _is_key(leaf):
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return type(leaf)(data) if isinstance(leaf, bool | int | float | complex) else data


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    return jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf), sharding=sharding)


def _dtype(leaf: Any) -> np.dtype:
    """Returns the dtype as it is, whatever JAX is set to; of a number of Python that of NumPy."""
    return np.dtype(leaf.dtype) if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _unabridged(tree: Any) -> contextlib.AbstractContextManager:
    """Makes a context in which JAX does not cut the tree's arrays of 64 bits to 32."""
    names = {_dtype(leaf).name for leaf in jax.tree.leaves(tree)}
    wide = not names.isdisjoint(("int64", "uint64", "float64", "complex128"))
    return jax.enable_x64(True) if wide else contextlib.nullcontext()


def _metadata(checkpointer: Any, path: Path) -> Any:
    return checkpointer.metadata(path / "state").item_metadata.tree


def _check_arrays(path: Path, found: Any, wanted: dict[str, Any]) -> None:
    """Refuses arrays of other names, shapes or dtypes."""
    there = {name: (tuple(array.shape), array.dtype) for name, array in found.items()}
    here = {name: (np.shape(leaf), _dtype(leaf)) for name, leaf in wanted.items()}
    missing = ("missing", "missing")
    for name in here | there:
        shape, dtype = there.get(name, missing)
        wanted_shape, wanted_dtype = here.get(name, missing)
        if shape != wanted_shape:
            raise CheckpointError(
                f"{path} is of another model: {name} is {shape} there, {wanted_shape} here"
            )
        if dtype != wanted_dtype:
            raise CheckpointError(
                f"{path} has other dtypes: {name} is {dtype} there, {wanted_dtype} here; "
                "give a state of its dtypes, and cast what is restored"
            )


def _fault(tree: Any, like: Any = None) -> str | None:
    """Names the first array with NaN or infinity, unless it is so in `like`; None for none."""
    before = {} if like is None else _plain(like)
    for name, leaf in _plain(tree).items():
        if _is_key(leaf) or not jnp.issubdtype(_dtype(leaf), jnp.inexact):
            continue
        old = before.get(name)
        if not isinstance(old, jax.Array | np.ndarray) or is_deleted(old):
            old = None
        if _lies_on_the_host(leaf, old):
            # NumPy reads these in place: no program is compiled for each shape.
            leaf = np.asarray(leaf)
        flags = _flags if isinstance(leaf, np.ndarray) else _compiled_flags
        with _unabridged(leaf):
            nan, infinite = flags(leaf, old)
        # A model may carry infinities from batch to batch, and a template without values says
        # nothing of them.
        tolerant = like is not None and (old is None or name.startswith(".extra"))
        if nan or (infinite and not tolerant):
            found = "NaN" if nan else "infinity"
            return f"{name} holds {found}"
    return None


def _lies_on_the_host(*leaves: Any) -> bool:
    """Tells whether arrays of JAX, where there are any, are all in this process's own memory."""
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    return all(
        array.is_fully_addressable and {device.platform for device in array.devices()} == {"cpu"}
        for array in arrays
    )


def _flags(new: Any, old: Any) -> tuple[ArrayLike, ArrayLike]:
    """Tells whether elements are NaN, and whether any are infinite, that were neither before."""
    numpy = np if isinstance(new, np.ndarray) else jnp
    nan, infinite = numpy.isnan(new), numpy.isinf(new)
    if old is not None:
        old = numpy.asarray(old)
        nan, infinite = nan & ~numpy.isnan(old), infinite & numpy.isfinite(old)
    return nan.any(), infinite.any()


_compiled_flags = jax.jit(_flags)


def _digests(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    digests = {}
    for path in files:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16)
        digests[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return digests


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"seqjax-checkpoint-{name}")
