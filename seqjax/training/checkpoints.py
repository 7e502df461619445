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

from seqjax.training.state import is_deleted

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
NOT_FINITE = "not_finite.txt"
"""Lies beside the arrays of a state that is not finite, and says where: such a one displaces no other."""


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of something else."""


class Checkpoints:
    """A folder of checkpoints, one subfolder for each step: a pytree of arrays (orbax) and a JSON-able dict beside it.

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

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        if keep < 1:
            raise ValueError(f"Checkpoints: keep is {keep}; give at least 1")
        self.folder = Path(folder).absolute()
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps whose checkpoints are complete, oldest first."""
        return [
            step for step in self._begun() if (self.folder / f"{step:08d}" / MANIFEST).is_file()
        ]

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

        target = self.folder / f"{step:08d}"
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
        _wait_for_all("draft")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(draft / "state", _keys_to_data(tree))
            checkpointer.wait_until_finished()
        if first:
            (draft / PROGRESS).write_text(json.dumps(progress))
            if fault is not None:
                (draft / NOT_FINITE).write_text(fault)
            (draft / MANIFEST).write_text(json.dumps(_digests(draft)))
            _flush(draft)
            os.rename(draft, target)
            self._drop(step, best)
        _wait_for_all("commit")

    def restore(self, like: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Reads a checkpoint; without a step the newest sound one, with a warning for each damaged one passed over.

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
                    f"checkpoint {self.folder / f'{candidate:08d}'} is damaged ({damage}); passed over",
                    stacklevel=2,
                )
        raise CheckpointError(f"no sound checkpoint in {self.folder}: {damage}; start the run anew")

    def _read(self, step, like):
        import orbax.checkpoint as ocp

        path = self.folder / f"{step:08d}"
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

    def _damage(self, step):
        path = self.folder / f"{step:08d}"
        try:
            listed = json.loads((path / MANIFEST).read_text())
            if listed == _digests(path):
                return None
            return "its files are not those of its manifest"
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def _is_marked(self, step):
        return (self.folder / f"{step:08d}" / NOT_FINITE).is_file()

    def _drop(self, newest, best):
        """Drops what is old, what was left half dropped, and the later ones of a run that went back to an earlier."""
        steps = [step for step in self.steps() if step <= newest]
        finite = [step for step in steps if not self._is_marked(step)]
        wanted = {*steps[-self.keep :], *finite[-self.keep :], best}
        for path in self.folder.iterdir():
            if path.name.isdigit() and int(path.name) not in wanted:
                shutil.rmtree(path, ignore_errors=True)


def _is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _keys_to_data(tree):
    """The arrays to be written, by their paths; those without an element are left out, for orbax refuses them."""
    named = _plain(
        jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)
    )
    return {name: leaf for name, leaf in named.items() if np.size(leaf)}


def _plain(tree):
    """The leaves by their paths: the same on disk whatever containers the library uses in memory."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _data_to_keys(data, like):
    restored = [_as_kind_of(leaf, data.get(name)) for name, leaf in _plain(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def _as_kind_of(leaf, data):
    """What was read for a leaf of the template, as a key or a number of Python where that is one."""
    if data is None:
        return np.zeros(np.shape(leaf), _dtype(leaf))
    if _is_key(leaf):
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return type(leaf)(data) if isinstance(leaf, bool | int | float | complex) else data


def _abstract(leaf):
    return jax.ShapeDtypeStruct(
        np.shape(leaf), _dtype(leaf), sharding=getattr(leaf, "sharding", None)
    )


def _dtype(leaf):
    """The dtype as it is, whatever JAX is set to; of a number of Python that of NumPy."""
    return np.dtype(leaf.dtype) if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _unabridged(tree):
    """A context in which JAX does not cut the tree's arrays of 64 bits to 32."""
    wide = any(
        _dtype(leaf).name in ("int64", "uint64", "float64", "complex128")
        for leaf in jax.tree.leaves(tree)
    )
    return jax.enable_x64(True) if wide else contextlib.nullcontext()


def _metadata(checkpointer, path):
    return checkpointer.metadata(path / "state").item_metadata.tree


def _check_arrays(path, found, wanted):
    """Refuses arrays of other names, shapes or dtypes."""
    there = {name: (tuple(array.shape), array.dtype) for name, array in found.items()}
    here = {name: (np.shape(leaf), _dtype(leaf)) for name, leaf in wanted.items()}
    missing = ("missing", "missing")
    for name in here | there:
        (shape, dtype), (wanted_shape, wanted_dtype) = (
            there.get(name, missing),
            here.get(name, missing),
        )
        if shape != wanted_shape:
            raise CheckpointError(
                f"{path} is of another model: {name} is {shape} there, {wanted_shape} here"
            )
        if dtype != wanted_dtype:
            raise CheckpointError(
                f"{path} has other dtypes: {name} is {dtype} there, {wanted_dtype} here; give a state of its dtypes, "
                "and cast what is restored"
            )


def _fault(tree, like=None):
    """Names the first array with an element that is NaN or infinite, unless it is so in `like`; None for none."""
    before = {} if like is None else _plain(like)
    for name, leaf in _plain(tree).items():
        if _is_key(leaf) or not jnp.issubdtype(_dtype(leaf), jnp.inexact):
            continue
        old = before.get(name)
        old = old if isinstance(old, jax.Array | np.ndarray) and not is_deleted(old) else None
        flags = _flags if isinstance(leaf, np.ndarray) else _compiled_flags
        with _unabridged(leaf):
            nan, infinite = flags(leaf, old)
        # A model may carry infinities from batch to batch, and a template without values says
        # nothing of them.
        tolerant = like is not None and (old is None or name.startswith(".extra"))
        if nan or (infinite and not tolerant):
            return f"{name} holds {'NaN' if nan else 'infinity'}"
    return None


def _flags(new, old):
    """Whether elements are NaN, and whether elements are infinite, that were neither before."""
    numpy = np if isinstance(new, np.ndarray) else jnp
    nan, infinite = numpy.isnan(new), numpy.isinf(new)
    if old is not None:
        nan, infinite = nan & ~numpy.isnan(old), infinite & numpy.isfinite(old)
    return nan.any(), infinite.any()


_compiled_flags = jax.jit(_flags)


def _digests(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {
        p.relative_to(folder).as_posix(): hashlib.blake2b(
            p.read_bytes(), digest_size=16
        ).hexdigest()
        for p in files
    }


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"seqjax-checkpoint-{name}")
