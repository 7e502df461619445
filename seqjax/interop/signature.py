"""What a model looks like from outside: named arrays in, named arrays out, whatever runs it.

Every format that leaves seqjax speaks by these names:

| name                  | meaning                                                               |
|-----------------------|-----------------------------------------------------------------------|
| `tokens`, `words`     | integers `[batch, time]`, by step `[batch]`                           |
| `characters`          | of each word, integers `[batch, time, characters]`                    |
| `source`              | what an encoder reads, integers `[batch, positions]`                  |
| `xs`, `frames`        | features `[batch, time, features]`, by step `[batch, features]`       |
| `lengths`             | valid steps of each row, `[batch]`; of characters `char_lengths`      |
| `state_0`, `state_1`  | what is remembered, leaf by leaf; zeros before the first step         |
| `next_0`, `next_1`    | the same afterwards: the `state_0`, `state_1` of the next call        |
| `keys`, `memory`      | what a decoder looks at, `[batch, positions, ...]`; `mask` where it may |
| `ys`, `logits`        | outputs of a recurrence, scores of a model                            |

Integers are int32. A complex state is two arrays, its real and its imaginary part.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqjax.models import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.tasks import Trained
from seqjax.typing import Params

SIZES = {
    "batch": 100000007,
    "time": 100000037,
    "positions": 100000039,
    "characters": 100000049,
}
"""Open sizes, and large primes that stand for them while shapes are computed: no other size is one."""


class Slot(NamedTuple):
    """One array that goes in or comes out.

    Attributes:
      name: see the table of this module.
      dtype: such as "float32".
      shape: sizes; an open one is a word of `SIZES`, or a multiple such as "2*time".
      below: of integers, the least that is too large; "time" allows the steps of `time` themselves.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    below: int | str | None = None


class Face(NamedTuple):
    """What one kind of model says of itself; `Signature` adds the states by name.

    Attributes:
      inputs: arrays that go in.
      state: shapes of what is remembered, their open sizes from `SIZES`; None for nothing.
      call: `call(model, params, inputs, state)` returns the outputs by name and the next state, or
        None.
    """

    inputs: Sequence[Slot]
    state: Any
    call: Callable[..., tuple[dict[str, Any], Any]]


@dataclasses.dataclass(frozen=True)
class Signature:
    """A model from outside.

    Attributes:
      inputs: in this order.
      outputs: in this order.
      run: `run(params, inputs, backend)` computes the outputs; inputs and outputs by name.
    """

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    run: Callable[[Params, Mapping[str, Any], str], dict[str, Any]]


FACES: dict[type, Callable[..., Face]] = {}
"""By class: `face(model, params, step)`. A new model is one function, marked by `face_of`."""


def face_of(*kinds: type) -> Callable[[Callable[..., Face]], Callable[..., Face]]:
    """Decorates the function that says what models of these classes look like."""

    def mark(face: Callable[..., Face]) -> Callable[..., Face]:
        FACES.update(dict.fromkeys(kinds, face))
        return face

    return mark


def subject(given: Any) -> tuple[Any, Params]:
    """Returns what is to be exported, and its parameters; a recurrence as a `models.Recurrent`.

    Args:
      given: a `seqjax.Trained`, or a pair of a model, a recurrence or a task, and its parameters.

    Raises:
      TypeError: it is neither.
    """
    if isinstance(given, Trained):
        model, params = given.task, given.params
    elif isinstance(given, tuple) and len(given) == 2:
        model, params = given
    else:
        raise TypeError(
            f"a {type(given).__name__} cannot be exported; give a seqjax.Trained, or a pair "
            "(model, params)"
        )
    # A task holds its model, a translator its network, which holds the model; the network of a
    # forecaster is a method, for what it reads is known to the task alone.
    for name in ("network", "model"):
        inner = getattr(model, name, None)
        if not isinstance(model, nn.Module) and inner is not None and not inspect.ismethod(inner):
            model = inner
    if isinstance(model, Recurrence):
        model = Recurrent(model)
    if set(params) == {"params"}:
        params = params["params"]
    return model, params


def signature(model: Any, params: Params, step: bool = False) -> Signature:
    """Returns what a model looks like from outside.

    Args:
      model: from `subject`.
      params: its parameters.
      step: of one time step, else of whole sequences.

    Raises:
      TypeError: the model is of no known kind.
      ValueError: it has no step.
    """
    # Imported here, for they import this module; each marks what it knows.
    for module in ("faces", "forecasters"):
        importlib.import_module(f"seqjax.interop.{module}")
    kind = type(model)
    if kind not in FACES:
        known = ", ".join(sorted(known.__name__ for known in FACES))
        raise TypeError(f"a {kind.__name__} cannot be exported; known are {known}")
    face = FACES[kind](model, params, step)
    leaves, structure = jax.tree.flatten(face.state)
    states = [
        Slot(f"state_{index}", part.dtype.name, _named(part.shape))
        for index, part in enumerate(jax.eval_shape(_real, leaves))
    ]

    def run(params: Params, inputs: Mapping[str, Any], backend: str) -> dict[str, Any]:
        given = [jnp.asarray(inputs[slot.name]) for slot in states]
        state = jax.tree.unflatten(structure, _whole(given, leaves))
        others = {slot.name: jnp.asarray(inputs[slot.name]) for slot in face.inputs}
        outputs, after = face.call(with_backend(model, backend), params, others, state)
        parts = _real(jax.tree.leaves(after))
        return outputs | {f"next_{index}": part for index, part in enumerate(parts)}

    inputs = (*face.inputs, *states)
    structs = {slot.name: jax.ShapeDtypeStruct(sizes(slot, SIZES), slot.dtype) for slot in inputs}
    made = jax.eval_shape(lambda params, inputs: run(params, inputs, "scan"), params, structs)
    # A dict comes back sorted by name: states stand last.
    order = sorted(made, key=lambda name: (name.startswith("next_"), _number(name)))
    outputs = tuple(Slot(name, made[name].dtype.name, _named(made[name].shape)) for name in order)
    return Signature(inputs, outputs, run)


def sizes(slot: Slot, known: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns the sizes of a slot, given those that are open."""
    found = []
    for size in slot.shape:
        if isinstance(size, str):
            factor, _, name = size.rpartition("*")
            size = known[name] * int(factor or 1)
        found.append(size)
    return tuple(found)


def draw(slots: Sequence[Slot], known: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Draws inputs for which a model has an answer: normal numbers, valid tokens and lengths.

    Args:
      slots: the inputs.
      known: the open sizes.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    drawn = {}
    for slot in slots:
        shape = sizes(slot, known)
        if slot.dtype == "bool":
            # The first of the last axis is always there.
            values = rng.random(shape) < 0.7
            values[..., :1] = True
        elif slot.dtype.startswith("int"):
            below = slot.below
            if isinstance(below, str):
                (below,) = sizes(Slot("", "int32", (below,)), known)
                below += 1
            values = rng.integers(0, below, shape)
        elif slot.name == "scale":
            values = np.exp(rng.normal(size=shape))
        else:
            values = rng.normal(size=shape)
        drawn[slot.name] = np.asarray(values, slot.dtype)
    return drawn


def input_size(net: Recurrence, params: Params) -> int:
    """Returns the features that a recurrence reads: those for which it makes such parameters.

    Raises:
      ValueError: no number of features fits.
    """
    shapes = jax.tree.map(np.shape, params)
    for size in sorted({size for leaf in jax.tree.leaves(params) for size in np.shape(leaf)}):
        try:
            made = jax.eval_shape(lambda size=size: net.init(jax.random.key(0), size))
        except ValueError:
            continue
        if jax.tree.map(lambda leaf: leaf.shape, made) == shapes:
            return size
    raise ValueError(
        f"the parameters are not those of {net}; give those of its init(key, features)"
    )


def with_backend(model: Any, backend: str) -> Any:
    """Returns the same model, run by this backend throughout."""
    changes = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name == "backend":
            changes["backend"] = backend
        elif isinstance(value, nn.Module) and field.name != "parent":
            changes[field.name] = with_backend(value, backend)
    if not changes:
        return model
    if isinstance(model, nn.Module):
        return model.clone(**changes)
    return dataclasses.replace(model, **changes)


def _real(leaves: Sequence[Any]) -> list[Any]:
    """Lists arrays, a complex one as its real and its imaginary part."""
    parts = []
    for leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            parts += [leaf.real, leaf.imag]
        else:
            parts.append(leaf)
    return parts


def _whole(parts: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Returns the arrays that `_real` took apart."""
    left, leaves = list(parts), []
    for leaf in like:
        part = left.pop(0)
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            part = jax.lax.complex(part, left.pop(0))
        leaves.append(part)
    return leaves


def _named(shape: Sequence[int]) -> tuple[int | str, ...]:
    """Gives the open sizes of a shape their names again."""
    return tuple(map(_name, shape))


def _name(size: int) -> int | str:
    for name, prime in SIZES.items():
        if size and size % prime == 0:
            return name if size == prime else f"{size // prime}*{name}"
    return size


def _number(name: str) -> int:
    _, _, number = name.rpartition("_")
    return int(number) if number.isdigit() else 0
