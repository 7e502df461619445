"""`Task` and `Trained`: what every model has in common that a person trains, uses, saves and loads.

    trained = seqjax.load("tagger")
    trained.predict([["The", "cat", "sat"]])
    trained.evaluate(examples)
    trained.save("copy")

A saved model is a folder of two files: `model.json` names the class of the task and its settings,
and `weights.safetensors` holds the parameters by path. Neither holds anything that runs.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from seqjax.files.disk import write_atomically
from seqjax.files.settings import from_plain, to_plain
from seqjax.files.weights import read_weights, write_weights
from seqjax.typing import KeyArray, Params

FORMAT = 1
"""Of `model.json`; raised when an older version of seqjax could misread what is written."""


class Report(NamedTuple):
    """What a task's `report` tells of trained parameters.

    Attributes:
      metrics: the figures that a table shows, by name.
      counts: what they were counted over.
    """

    metrics: dict[str, float]
    counts: dict[str, int]


@runtime_checkable
class Task(Protocol):
    """What is learnt: a network, and how raw examples become its batches and its outputs become answers.

    An implementation is a frozen dataclass whose fields are settings (see `seqjax.files.settings`),
    so that it can be saved, compared and given to `jax.jit` as a static argument. It may have more
    methods of `(params, ...)`: `Trained` offers them all. Two names are agreed on: `stream(params)`
    of a causal one, and `report(params, examples, folder)`, which scores on examples, writes
    predictions and pictures into a folder that exists, and returns a `Report`.

    A task whose batches continue each other has `initial_carry(params, rows)` as well: what the
    first batch begins with, such as a recurrent state of so many rows, or None for nothing. Its
    `loss` is then given the carry as a last argument and returns the next one as `Aux.extra`.
    """

    monitor: ClassVar[tuple[str, ...]]
    """Metrics of `evaluate` that choose the best parameters, lower being better; ties go to the next one."""

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        ...

    def batches(
        self,
        examples: Any,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> Any:
        """Makes batches of raw examples: endless and shuffled, or `once` and in order.

        Args:
          examples: what a person has: texts and labels, arrays, recordings.
          batch_size: in the task's own unit; None takes the task's default.
          seed: of the order.
          once: go through the examples a single time.
          multiple_of: rows of a batch are a multiple of this, for example of the number of devices.

        Returns:
          A resumable iterator (see `seqjax.data.mapped`) with `batches_per_epoch`.

        Raises:
          ValueError: an example cannot be learnt (which, and how to mend it).
        """
        ...

    def loss(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> tuple[jax.Array, Any]:
        """Computes what training minimises: a mean, and a `seqjax.training.Aux`."""
        ...

    def evaluate(self, params: Params, examples: Any) -> dict[str, float]:
        """Scores parameters on raw examples."""
        ...

    def predict(self, params: Params, inputs: Any) -> Any:
        """Answers raw inputs, each in its place."""
        ...


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """A task with parameters: what `seqjax.training.fit_batches` returns and `seqjax.load` reads.

    Attributes:
      task: what was learnt.
      params: nested dict of arrays.
    """

    task: Any
    params: Params

    def __repr__(self) -> str:
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"Trained({self.task!r}, {count:,} parameters)"

    def __getattr__(self, name: str) -> Any:
        """Gives another method of the task: `trained.NAME(...)` is `task.NAME(params, ...)`."""
        method = None if name.startswith("_") else getattr(self.task, name, None)
        if not callable(method):
            raise AttributeError(f"{type(self.task).__name__} has no method {name!r}")
        return functools.partial(method, self.params)

    def __dir__(self) -> list[str]:
        return sorted(
            {*super().__dir__(), *(name for name in dir(self.task) if not name.startswith("_"))}
        )

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answers raw inputs, see the task's `predict`."""
        return self.task.predict(self.params, inputs, **options)

    def evaluate(self, examples: Any, **options: Any) -> dict[str, float]:
        """Scores on raw examples, see the task's `evaluate`."""
        return self.task.evaluate(self.params, examples, **options)

    def stream(self, **options: Any) -> Any:
        """Opens a stream that reads one step after another, see the task's `stream`.

        Raises:
          TypeError: the task needs whole sequences.
        """
        if not hasattr(self.task, "stream"):
            raise TypeError(
                f"{type(self.task).__name__} reads whole sequences and cannot stream; call predict"
            )
        return self.task.stream(self.params, **options)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes `model.json` and `weights.safetensors`; a model that is there already is replaced.

        Args:
          folder: is made where it is missing.

        Raises:
          TypeError: the task holds a setting that cannot be written (which).
        """
        folder = Path(folder)
        arrays = {name: np.asarray(leaf) for name, leaf in flatten_params(self.params).items()}
        about = {"format": FORMAT, "task": to_plain(self.task), "weights": _fingerprint(arrays)}
        text = json.dumps(about, indent=1, ensure_ascii=False)
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(folder / "weights.safetensors", arrays)
        write_atomically(folder / "model.json", (text + "\n").encode())


def load(folder: str | os.PathLike, kind: type | None = None) -> Trained:
    """Reads a trained model: a run folder of an experiment, or what `Trained.save` wrote.

    Args:
      folder: with `model.json` in it, or in its folder `model`.
      kind: class of the task that is wanted; None takes any.

    Returns:
      The task with its parameters.

    Raises:
      ValueError: there is no model, it is damaged, of a newer version or of another kind (which
        file, and why).
    """
    folder = Path(folder)
    if (folder / "model" / "model.json").is_file():
        folder = folder / "model"
    about = _read_about(folder / "model.json")
    try:
        task = from_plain(about["task"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / 'model.json'}: {error}") from None
    # A task may stand inside another one that keeps its parameters in another form, such as int8.
    inner = getattr(task, "task", None)
    if kind is not None and not isinstance(task, kind) and not isinstance(inner, kind):
        raise ValueError(f"{folder} holds a {type(task).__name__}; give a {kind.__name__}")
    path = folder / "weights.safetensors"
    arrays = read_weights(path)
    if _fingerprint(arrays) != about["weights"]:
        raise ValueError(
            f"{path} does not belong to its model.json, or is damaged; save the model again"
        )
    _check_weights(path, task, arrays)
    # `jax.numpy.asarray` would compile a program for each shape.
    return Trained(task, jax.device_put(unflatten_params(arrays)))


def flatten_params(params: Params) -> dict[str, Any]:
    """Lists the leaves of nested parameters by path, such as `{"layer_0/w_x": array}`."""
    leaves = jax.tree.leaves_with_path(params)
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}


def unflatten_params(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nests what `flatten_params` listed."""
    params: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        place = params
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = leaf
    return params


def _fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """The sha256 of names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_about(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} holds no model: it has no model.json")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        version = about["format"]
        missing = {"task", "weights"} - set(about)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is no model that seqjax saved, or is damaged") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}; this version of seqjax reads {FORMAT}: install a newer one"
        )
    if missing:
        raise ValueError(f"{path} lacks {min(missing)!r}; the file is damaged")
    return about


def _check_weights(path: Path, task: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses weights that are not those of the task's network."""
    if not isinstance(task, Task):
        raise ValueError(
            f"{path.parent / 'model.json'} holds a {type(task).__name__}, which is no task"
        )
    # Shapes alone: nothing is drawn, nor compiled.
    wanted = jax.eval_shape(lambda: task.init(jax.random.key(0)))
    shapes = {name: leaf.shape for name, leaf in flatten_params(wanted).items()}
    for name in sorted(set(shapes) | set(arrays)):
        if name not in arrays:
            raise ValueError(f"{path} lacks {name!r}, which the network has")
        if name not in shapes:
            raise ValueError(f"{path} has {name!r}, which the network lacks")
        if arrays[name].shape != shapes[name]:
            raise ValueError(
                f"{path}: {name!r} has shape {arrays[name].shape}; the network wants {shapes[name]}"
            )
