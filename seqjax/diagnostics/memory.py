"""How far back a network remembers: three problems that need a long memory, and the task of learning one.

problem = Adding(length=200)
task = MemoryTask(problem, seqjax.GRU(128))
trained = training.fit(task, None, validation=fresh_rows(1000))
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from seqjax import data, training
from seqjax.cells import GRU, LSTM, MGU, MLSTM, SLSTM, MinGRU
from seqjax.combinators import Stack, Wrapper
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params
from seqjax.unrolling import unroll

ROWS = 500
"""Sequences that are scored at once."""


class Problem(Protocol):
    """Something to remember; a frozen dataclass.

    Attributes:
      features: of an input.
      outputs: of the network.
      monitor: names of the losses that choose the best parameters, see `seqjax.tasks.Task`.
      trains: the loss that is trained on.
      baseline: the first of `monitor` without a memory.
      solved: below it the problem counts as solved; 0 where nothing says so.
    """

    features: int
    outputs: int
    monitor: tuple[str, ...]
    trains: str
    baseline: float
    solved: float

    def read(self, batch: Mapping[str, Any], seed: int) -> tuple[jax.Array, ArrayLike]:
        """Makes inputs `[rows, time, features]` and targets of a batch."""
        ...

    def losses(self, outputs: jax.Array, targets: ArrayLike) -> dict[str, jax.Array]:
        """Computes losses and scores, arrays, of outputs `[rows, time, outputs]`."""
        ...


class _Drawn:
    """Problems whose rows are drawn on the device, each from its number."""

    def draw(self, key: KeyArray) -> tuple[jax.Array, jax.Array]:
        """Draws one row: inputs `[time, features]`, and its target."""
        raise NotImplementedError

    def read(self, batch: Mapping[str, Any], seed: int) -> tuple[jax.Array, jax.Array]:
        """Draws rows by their numbers; rows that are scored come from another key than those that train."""
        train_key, score_key = jax.random.split(jax.random.key(seed))
        key = score_key if "scored" in batch else train_key
        return jax.vmap(lambda row: self.draw(jax.random.fold_in(key, row)))(batch["row"])


@dataclasses.dataclass(frozen=True)
class Adding(_Drawn):
    """The adding problem (Hochreiter and Schmidhuber, 1997).

    Of `length` numbers in [0, 1] two are marked, one in each half; the last output should be their
    sum. To answer 1 always costs 1/6.
    """

    length: int

    features: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    monitor: ClassVar[tuple[str, ...]] = ("mse",)
    trains: ClassVar[str] = "mse"
    baseline: ClassVar[float] = 1 / 6
    solved: ClassVar[float] = 1e-3

    def draw(self, key: KeyArray) -> tuple[jax.Array, jax.Array]:
        """Draws numbers beside their marks, `[length, 2]`, and the sum."""
        numbers, first, second = jax.random.split(key, 3)
        half = self.length // 2
        values = jax.random.uniform(numbers, (self.length,))
        early = jax.random.randint(first, (), 0, half)
        late = jax.random.randint(second, (), half, self.length)
        marks = jnp.zeros(self.length).at[jnp.array((early, late))].set(1.0)
        return jnp.stack([values, marks], -1), values @ marks

    def losses(self, outputs: jax.Array, targets: ArrayLike) -> dict[str, jax.Array]:
        """Computes the squared error of the last output."""
        return {"mse": jnp.square(outputs[:, -1, 0] - targets)}


@dataclasses.dataclass(frozen=True)
class Copying(_Drawn):
    """Copy memory (Hochreiter and Schmidhuber, 1997, in the form of Arjovsky et al., 2016).

    Ten symbols of eight kinds, `length` blanks, and a signal to repeat them. To guess the symbols
    costs 10 ln 8 / (length + 20) nats.
    """

    length: int

    symbols: ClassVar[int] = 8
    copied: ClassVar[int] = 10
    features: ClassVar[int] = 10
    outputs: ClassVar[int] = 9
    monitor: ClassVar[tuple[str, ...]] = ("nats",)
    trains: ClassVar[str] = "nats"

    @property
    def baseline(self) -> float:
        """Nats a step of one who guesses."""
        return self.copied * math.log(self.symbols) / (self.length + 2 * self.copied)

    @property
    def solved(self) -> float:
        """A tenth of that."""
        return self.baseline / 10

    def draw(self, key: KeyArray) -> tuple[jax.Array, jax.Array]:
        """Draws one-hot tokens `[length + 20, 10]`, and the tokens to say."""
        blank, signal = self.symbols, self.symbols + 1
        symbols = jax.random.randint(key, (self.copied,), 0, self.symbols)
        blanks = jnp.full(self.length + self.copied, blank)
        tokens = jnp.concatenate([symbols, blanks])
        tokens = tokens.at[self.length + self.copied - 1].set(signal)
        return jax.nn.one_hot(tokens, self.features), jnp.concatenate([blanks, symbols])

    def losses(self, outputs: jax.Array, targets: ArrayLike) -> dict[str, jax.Array]:
        """Computes the cross-entropy of every step, and which symbols were copied."""
        nats = optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(targets))
        said = outputs[:, -self.copied :].argmax(-1)
        return {"nats": nats, "copied": said == jnp.asarray(targets)[:, -self.copied :]}


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Ten kinds of pictures pixel by pixel (Le, Jaitly and Hinton, 2015).

    Attributes:
      order: places of the pixels in the order of their reading.
    """

    order: tuple[int, ...]

    features: ClassVar[int] = 1
    outputs: ClassVar[int] = 10
    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")
    trains: ClassVar[str] = "nats"
    baseline: ClassVar[float] = 0.9
    solved: ClassVar[float] = 0.0

    @property
    def length(self) -> int:
        """Steps of a picture."""
        return len(self.order)

    def read(self, batch: Mapping[str, Any], seed: int) -> tuple[jax.Array, ArrayLike]:
        """Brings pixels of 0 to 255 in order, from 0 to 1: `[rows, pixels, 1]`."""
        images = jnp.asarray(batch["image"], jnp.float32).reshape(-1, self.length)
        return images[:, np.asarray(self.order)][..., None] / 255, batch["label"]

    def losses(self, outputs: jax.Array, targets: ArrayLike) -> dict[str, jax.Array]:
        """Computes cross-entropy and errors of the last output."""
        nats = optax.softmax_cross_entropy_with_integer_labels(outputs[:, -1], jnp.asarray(targets))
        return {"nats": nats, "error": outputs[:, -1].argmax(-1) != targets}


@dataclasses.dataclass(frozen=True)
class MemoryTask:
    """A recurrence with a linear head learns a problem.

    Attributes:
      problem: what to remember.
      recurrence: one layer, or a stack of them.
      chrono: begin with memories as long as the problem, see `with_long_memories`.
      seed: of the rows that are drawn.
      backend: which implementation runs, see `seqjax.unroll`.
    """

    problem: Any
    recurrence: Recurrence
    chrono: bool = True
    seed: int = 1
    backend: Backend = "auto"

    unit: ClassVar[str] = "sequences"
    batch_size: ClassVar[int] = 32

    @property
    def monitor(self) -> tuple[str, ...]:
        """The metrics of the problem that choose."""
        return self.problem.monitor

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        net_key, head_key, chrono_key = jax.random.split(key, 3)
        net = self.recurrence.init(net_key, self.problem.features)
        if self.chrono:
            net = with_long_memories(self.recurrence, net, self.problem.length, chrono_key)
        hidden = self.recurrence.output_size(self.problem.features)
        w = jax.nn.initializers.glorot_uniform()(head_key, (hidden, self.problem.outputs))
        return {"net": net, "head": {"w": w, "b": jnp.zeros(self.problem.outputs)}}

    def batches(
        self,
        examples: Any,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> Any:
        """Makes batches of records, or where `examples` are None of rows to be drawn, never the same twice."""
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        if examples is None:
            return RowNumbers(rows)
        if once:
            rows = min(ROWS, len(examples))
        return data.batches(
            examples,
            rows,
            seed=seed,
            shuffle=not once,
            epochs=1 if once else None,
            drop_remainder=not once,
        )

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean of the loss that is trained on."""
        losses = self._losses(params, batch)
        return losses[self.problem.trains].mean(), training.Aux(weight=_size(batch))

    def evaluate(self, params: Params, examples: data.Records) -> dict[str, float]:
        """Computes the means of all losses and scores of the problem."""
        batches = self.batches(examples, once=True)
        return training.evaluate(self._means, params, batches)

    def predict(self, params: Params, inputs: Any) -> np.ndarray:
        """Computes the outputs of every step, `[rows, time, outputs]`, of inputs `[rows, time, features]`."""
        return np.asarray(self._outputs(params, jnp.asarray(inputs, jnp.float32)))

    @functools.partial(jax.jit, static_argnums=0)
    def _outputs(self, params: Params, inputs: jax.Array) -> jax.Array:
        _, ys = unroll(self.recurrence, params["net"], inputs, backend=self.backend)
        return ys @ params["head"]["w"] + params["head"]["b"][None, None, :]

    @functools.partial(jax.jit, static_argnums=0)
    def _means(self, params: Params, batch: Any) -> dict[str, training.Mean]:
        means = {}
        for name, values in self._losses(params, batch).items():
            # [rows] as [rows, 1, ...]
            weight = batch["weight"].reshape(-1, *[1] * (values.ndim - 1))
            means[name] = training.Mean.of(values, weight)
        return means

    def _losses(self, params: Params, batch: Any) -> dict[str, jax.Array]:
        inputs, targets = self.problem.read(batch, self.seed)
        return self.problem.losses(self._outputs(params, inputs), targets)


class RowNumbers:
    """Batches of row numbers, from which the device draws the rows: endless, never one twice, resumable."""

    def __init__(self, rows: int):
        self.rows, self.step = rows, 0
        self.batches_per_epoch = 1

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        first = self.step * self.rows
        self.step += 1
        return {"row": np.arange(first, first + self.rows, dtype=np.uint32)}

    def state(self) -> dict[str, int]:
        """The steps handed out."""
        return {"step": self.step}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes on after as many."""
        self.step = state["step"]


def fresh_rows(count: int, first: int = 0) -> data.Records:
    """Lists rows of a drawn problem to score on; none of them is ever trained on.

    Args:
      count: how many.
      first: the number of the first one.
    """
    rows = np.arange(first, first + count, dtype=np.uint32)
    return data.Records({"row": rows, "scored": np.ones(count, bool)})


def with_long_memories(
    recurrence: Recurrence, params: Params, length: int, key: KeyArray
) -> Params:
    """Sets the biases of gates such that the units' memories last from 1 to `length` steps.

    Tallec and Ollivier, 2018, "Can recurrent neural networks warp time?". LSTM, GRU, MGU,
    SLSTM, MLSTM and MinGRU have such gates, also within `seqjax.gated` and `seqjax.stack`; others
    are left as they are.

    Args:
      recurrence: whose parameters they are.
      params: fresh, from `recurrence.init`.
      length: steps of the longest memory.
      key: draws the lengths.
    """
    if isinstance(recurrence, Stack):
        layers = {}
        for place, layer in enumerate(recurrence.layers):
            name = f"layer_{place}"
            own = jax.random.fold_in(key, place)
            layers[name] = with_long_memories(layer, params[name], length, own)
        return {**params, **layers}
    if isinstance(recurrence, Wrapper):
        if "inner" not in params:
            return with_long_memories(recurrence.inner, params, length, key)
        inner = with_long_memories(recurrence.inner, params["inner"], length, key)
        return {**params, "inner": inner}
    name = "b"
    match recurrence:
        case LSTM():
            signs, gates = {0: -1, 1: 1}, 4
        case SLSTM():
            # The normaliser sees to what is written.
            signs, gates = {1: 1}, 4
        case MLSTM():
            name, signs, gates = "b_g", {1: 1}, 2
        case GRU():
            signs, gates = {1: 1}, 3
        case MinGRU() | MGU():
            signs, gates = {0: -1}, 2
        case _:
            return params
    bias = params[name]
    hidden = len(bias) // gates
    longest = max(length - 1.0, 1.001)
    long = jnp.log(jax.random.uniform(key, (hidden,), minval=1.0, maxval=longest))
    for gate, sign in signs.items():
        bias = bias.at[gate * hidden : (gate + 1) * hidden].set(sign * long)
    return {**params, name: bias}


def _size(batch: Mapping[str, Any]) -> int:
    return len(next(iter(batch.values())))
