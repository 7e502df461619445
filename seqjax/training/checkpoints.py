"""Checkpoints that survive being killed, cut short or damaged."""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

MANIFEST = "manifest.json"
PROGRESS = "progress.json"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of something else."""


class Checkpoints:
    """A folder of checkpoints, one subfolder for each step: a pytree of arrays (orbax) and a JSON-able dict beside it.

    A checkpoint counts only when it is complete: it is written under another name, its files are listed with their
    digests in `manifest.json`, and then it is renamed. Of several processes all take part and the first one commits.

    Args:
      folder: where they are; made at the first save.
      keep: how many of the newest to keep, besides the best.

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
        return [step for step in self._begun() if (self.folder / f"{step:08d}" / MANIFEST).is_file()]

    def _begun(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def save(self, step: int, tree: Any, progress: dict[str, Any], best: int | None = None) -> None:
        """Writes the checkpoint of a step, then drops those no longer wanted.

        Args:
          step: its name; one that is already there stays as it is.
          tree: a pytree of arrays and keys.
          progress: a JSON-able dict.
          best: the step to keep whatever its age.
        """
        import orbax.checkpoint as ocp

        target = self.folder / f"{step:08d}"
        if self._damage(step) is None:
            return
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
            (draft / MANIFEST).write_text(json.dumps(_digests(draft)))
            _flush(draft)
            os.rename(draft, target)
            self._drop(step, best)
        _wait_for_all("commit")

    def restore(self, like: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Reads a checkpoint; without a step the newest sound one, with a warning for each damaged one passed over.

        Args:
          like: a pytree of the same structure and shapes, which also says where arrays shall live.
          step: which one; None for the newest.

        Returns:
          The step, the pytree, and the dict saved beside it.

        Raises:
          CheckpointError: there is none, none is sound, or it belongs to another model.
        """
        steps = self._begun() if step is None else [step]
        if not steps:
            raise CheckpointError(f"{self.folder} holds no checkpoint; train first, or name another run folder")
        for candidate in reversed(steps):
            damage = self._damage(candidate)
            if damage is None:
                return candidate, *self._read(candidate, like)
            if step is None:
                warnings.warn(
                    f"checkpoint {self.folder / f'{candidate:08d}'} is damaged ({damage}); passed over", stacklevel=2
                )
        raise CheckpointError(f"no sound checkpoint in {self.folder}: {damage}; start the run anew")

    def _read(self, step, like):
        import orbax.checkpoint as ocp

        path = self.folder / f"{step:08d}"
        wanted = _keys_to_data(like)
        try:
            with ocp.StandardCheckpointer() as checkpointer:
                shapes = {
                    jax.tree_util.keystr(p): tuple(m.shape)
                    for p, m in jax.tree.leaves_with_path(_metadata(checkpointer, path))
                }
                _check_shapes(path, shapes, wanted)
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

    def _drop(self, newest, best):
        """Drops what is old, what was left half dropped, and the later ones of a run that went back to an earlier."""
        wanted = {*[step for step in self.steps() if step <= newest][-self.keep :], best}
        for path in self.folder.iterdir():
            if path.name.isdigit() and int(path.name) not in wanted:
                shutil.rmtree(path, ignore_errors=True)


def _is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _keys_to_data(tree):
    return _plain(jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree))


def _plain(tree):
    """The leaves by their paths: the same on disk whatever containers the library uses in memory."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _data_to_keys(data, like):
    leaves, structure = jax.tree.flatten(like)
    names = list(_plain(like))
    restored = [
        jax.random.wrap_key_data(data[name], impl=jax.random.key_impl(leaf)) if _is_key(leaf) else data[name]
        for name, leaf in zip(names, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, restored)


def _abstract(leaf):
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf), sharding=getattr(leaf, "sharding", None))


def _metadata(checkpointer, path):
    return checkpointer.metadata(path / "state").item_metadata.tree


def _check_shapes(path, found, wanted):
    want = {jax.tree_util.keystr(p): tuple(jnp.shape(leaf)) for p, leaf in jax.tree.leaves_with_path(wanted)}
    for name in want | found:
        if want.get(name) != found.get(name):
            there, here = found.get(name, "missing"), want.get(name, "missing")
            raise CheckpointError(f"{path} is of another model: {name} is {there} there, {here} here")


def _digests(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {
        p.relative_to(folder).as_posix(): hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest() for p in files
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
