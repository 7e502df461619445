"""What a token costs: time and memory of a language model as its context grows, and of its training.

writer = RecurrentWriter(vocab_size, 128, seqjax.stack(seqjax.LSTM(256), seqjax.LSTM(256)))
[cost_of_token(writer, context) for context in (128, 1024)]
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.diagnostics import cost
from seqjax.models import LanguageModel
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params, Remat

WARM_UP = 3
"""Tokens before those that are timed."""


@runtime_checkable
class Writer(Protocol):
    """A causal language model as pure functions of its params; hashable, so that `jax.jit` takes it as static.

    What it remembers of a context may grow with it, as a Transformer's cache does, or not.
    """

    def init(self, key: KeyArray) -> Params:
        """Makes fresh params."""
        ...

    def logits(self, params: Params, tokens: jax.Array) -> jax.Array:
        """Scores every next token of `[batch, time]`: `[batch, time, vocab]`."""
        ...

    def memory(self, params: Params, context: int, coming: int) -> Any:
        """Makes what is remembered of a context of one row, of which the last `coming` tokens are to come."""
        ...

    def step(self, params: Params, memory: Any, token: jax.Array) -> tuple[Any, jax.Array]:
        """Reads one token `[1]`; gives the memory after it, and logits `[1, vocab]`."""
        ...


@dataclasses.dataclass(frozen=True)
class RecurrentWriter:
    """A recurrent `Writer`, whose memory is its state.

    Attributes:
      vocab_size: tokens there are.
      features: of a token's embedding.
      recurrence: a causal one.
      remat: see `seqjax.unroll`.
      backend: see `seqjax.unroll`.
    """

    vocab_size: int
    features: int
    recurrence: Recurrence
    remat: Remat = "none"
    backend: Backend = "auto"

    @property
    def model(self) -> LanguageModel:
        """The Flax model."""
        return LanguageModel(
            self.vocab_size,
            self.features,
            self.recurrence,
            remat=self.remat,
            backend=self.backend,
        )

    def init(self, key: KeyArray) -> Params:
        """Makes fresh params."""
        return self.model.init(key, jnp.zeros((1, 2), int))["params"]

    def logits(self, params: Params, tokens: jax.Array) -> jax.Array:
        """Scores every next token, `[batch, time, vocab]`."""
        scores: Any = self.model.apply({"params": params}, tokens)
        return scores[1]

    def memory(self, params: Params, context: int, coming: int) -> Any:
        """Makes the state, which is the same whatever the context."""
        return self.model.start(params, (1,))

    def step(self, params: Params, memory: Any, token: jax.Array) -> tuple[Any, jax.Array]:
        """Reads one token; gives the state after it, and logits."""
        return self.model.advance(params, memory, token)


class TokenCost(NamedTuple):
    """What a token costs after a context.

    Attributes:
      milliseconds: of its step, the median of several.
      remembered: bytes of the memory of the context.
    """

    milliseconds: float
    remembered: int


def count_params(writer: Writer) -> int:
    """Counts the parameters without making them."""
    return cost.count(jax.eval_shape(writer.init, jax.random.key(0)))


@functools.partial(jax.jit, static_argnums=0)
def fresh_params(writer: Writer, key: KeyArray) -> Params:
    """Makes fresh params in one program."""
    return writer.init(key)


@functools.partial(jax.jit, static_argnums=0)
def nats(
    writer: Writer, params: Params, batch: Mapping[str, ArrayLike]
) -> Float[Array, "batch time"]:
    """Computes the cross-entropy of every next token, of a batch of `inputs` and `targets`."""
    logits = writer.logits(params, jnp.asarray(batch["inputs"]))
    targets = jnp.asarray(batch["targets"])
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def time_tokens(
    writer: Writer, params: Params, context: int, tokens: int
) -> Float[np.ndarray, " tokens"]:
    """Measures the seconds of each of the last tokens of a context, one step at a time."""

    def step(memory: Any, token: jax.Array) -> tuple[Any, jax.Array]:
        memory, logits = _step(writer, params, memory, token)
        return memory, logits.argmax(-1)

    memory = writer.memory(params, context, tokens + WARM_UP)
    return cost.time_steps(step, memory, jnp.zeros(1, int), tokens, WARM_UP)


def cost_of_token(writer: Writer, context: int, tokens: int = 24) -> TokenCost:
    """Measures a token's step after a context, with fresh params; the median of `tokens` steps."""
    params = fresh_params(writer, jax.random.key(0))
    seconds = time_tokens(writer, params, context, tokens)
    memory = writer.memory(params, context, 0)
    return TokenCost(1e3 * float(np.median(seconds)), cost.size_in_bytes(memory))


def training_bytes(writer: Writer, rows: int, length: int) -> int:
    """Computes the bytes that a gradient over `rows` sequences needs at its peak; nothing is run."""

    def loss(params: Params, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        return nats(writer, params, {"inputs": inputs, "targets": targets}).mean()

    params = jax.eval_shape(writer.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    return cost.training_memory(loss, params, tokens, tokens)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _step(writer: Writer, params: Params, memory: Any, token: jax.Array) -> tuple[Any, jax.Array]:
    """Steps in the place of the memory given."""
    return writer.step(params, memory, token)
