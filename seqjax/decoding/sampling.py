"""Sampling from a model that predicts the next token."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from seqjax.recurrence import select
from seqjax.typing import KeyArray, Params, State


class Samples(NamedTuple):
    """Tokens written, `[batch, length]`, and how many of each row are valid, `[batch]`."""

    tokens: Int[Array, "batch length"]
    lengths: Int[Array, " batch"]


def sample(
    step: Callable[[Params, State, Array], tuple[State, Array]],
    params: Params,
    state: State,
    prompt: ArrayLike,
    key: KeyArray | Key[Array, " batch"],
    length: int,
    *,
    prompt_lengths: ArrayLike | None = None,
    temperature: ArrayLike = 1.0,
    top_k: ArrayLike | None = None,
    top_p: ArrayLike | None = None,
    stop_token: ArrayLike | None = None,
) -> Samples:
    """Reads a prompt and writes on, in one compiled program.

    Args:
      step: `step(params, state, tokens [batch]) -> (state, logits [batch, vocab])`, for example
        `LanguageModel.advance`. The program is compiled once for each step function and shape.
      params: what `step` takes first.
      state: the state before the prompt.
      prompt: `[batch, time]` tokens, at least one.
      key: what the draws come from; a row's draws do not depend on the rest of its batch. With a
        key for each row, `[batch]`, they do not depend on its place there either.
      length: tokens to write.
      prompt_lengths: valid tokens of each prompt, `[batch]`, at least 1; None when all are. Under
        jit, where values cannot be looked at, they are clamped to between 1 and the tokens of a
        prompt.
      temperature: divides the logits; 0 takes the best token always (greedy).
      top_k: draw from the k best tokens only.
      top_p: draw from the smallest set of best tokens that holds this much probability (Holtzman et
        al., 2020).
      stop_token: a row ends with it; what follows in the row is this token again.

    Returns:
      `Samples(tokens [batch, length], lengths [batch])`; a length counts the stop token.

    Raises:
      ValueError: the prompt is empty or not `[batch, time]`, or an option is out of its range.

    Example:
      >>> import jax, seqjax
      >>> model = seqjax.models.LanguageModel(5, 4, seqjax.GRU(8))
      >>> prompt = jax.numpy.zeros((2, 3), int)
      >>> params = model.init(jax.random.key(0), prompt)["params"]
      >>> state = model.start(params, (2,))
      >>> out = seqjax.decoding.sample(
      ...     model.advance, params, state, prompt, jax.random.key(1), length=7)
      >>> out.tokens.shape
      (2, 7)
    """
    prompt = jnp.asarray(prompt)
    if prompt.ndim != 2 or prompt.shape[1] == 0:
        raise ValueError(
            f"prompt has shape {prompt.shape}; give [batch, time] with at least one token"
        )
    if length < 1:
        raise ValueError(f"length is {length}; give the number of tokens to write, at least 1")
    _check_range("temperature", temperature, 0, None)
    _check_range("top_k", top_k, 1, None)
    _check_range("top_p", top_p, 0, 1)
    rows = prompt.shape[0]
    lengths = np.full(rows, prompt.shape[1]) if prompt_lengths is None else prompt_lengths
    lengths = lengths if isinstance(lengths, Tracer) else np.asarray(lengths)
    if _is_many(key) and key.shape != (rows,):
        raise ValueError(
            f"keys have shape {key.shape}; give one key, or one for each of {rows} rows"
        )
    if lengths.shape != (rows,):
        raise ValueError(f"prompt_lengths have shape {lengths.shape}; the prompt wants ({rows},)")
    if not isinstance(lengths, Tracer):
        in_range = (lengths >= 1) & (lengths <= prompt.shape[1])
        if not in_range.all():
            raise ValueError(
                f"prompt_lengths are {lengths}; give numbers from 1 to {prompt.shape[1]}"
            )
    return _sample(
        step, params, state, prompt, lengths, key, length, temperature, top_k, top_p, stop_token
    )


class _Carry(NamedTuple):
    """What the loop over tokens hands on; all but `t` begin with the batch."""

    t: Array  # tokens written so far, []
    state: State  # of the model
    logits: Array  # of the next token, [batch, vocab]
    tokens: Array  # [batch, length]
    lengths: Array  # [batch]
    done: Array  # rows that have their stop token, [batch]


@functools.partial(jax.jit, static_argnames=("step", "length"))
def _sample(
    step: Callable[[Params, State, Array], tuple[State, Array]],
    params: Params,
    state: State,
    prompt: Int[Array, "batch time"],
    prompt_lengths: Int[Array, " batch"],
    key: Array,
    length: int,
    temperature: ArrayLike,
    top_k: ArrayLike | None,
    top_p: ArrayLike | None,
    stop_token: ArrayLike | None,
) -> Samples:
    rows = prompt.shape[0]
    # Traced lengths were not checked: a prompt has at least one token to go on from.
    prompt_lengths = jnp.clip(prompt_lengths, 1, prompt.shape[1])
    draw = functools.partial(sample_logits, temperature=temperature, top_k=top_k, top_p=top_p)
    # A row's draws do not depend on the other rows.
    row_keys = key
    if not _is_many(key):
        row_keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(rows))

    def read(carry: tuple[State, Array], inputs: tuple[Array, Array]) -> tuple[Any, None]:
        """Reads one token of every prompt; what is past its end changes nothing."""
        t, tokens = inputs
        return select(t < prompt_lengths, step(params, carry[0], tokens), carry), None

    def write(carry: _Carry) -> _Carry:
        """Draws one token of every row, and reads it."""
        t, lengths, done = carry.t, carry.lengths, carry.done
        # A key of this step for each row, and a token of each: [batch].
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(row_keys, t)
        token = jax.vmap(draw)(keys, carry.logits)
        if stop_token is not None:
            # A row that is done goes on with the stop token, whatever was drawn.
            token = jnp.where(done, stop_token, token)
            # The stop token counts, those after it do not.
            lengths = lengths + (~done).astype(lengths.dtype)
            done = done | (token == stop_token)
        written = token.astype(carry.tokens.dtype)
        tokens = lax.dynamic_update_index_in_dim(carry.tokens, written, t, axis=1)
        # [batch, vocab], for the next draw.
        state, logits = step(params, carry.state, token)
        return _Carry(t + 1, state, logits, tokens, lengths, done)

    def goes_on(carry: _Carry) -> Array:
        return (carry.t < length) & ~carry.done.all()

    # Every row reads its first token, so these zeros are never drawn from.
    scores = jax.eval_shape(step, params, state, prompt[:, 0])[1]
    begin = (state, jnp.zeros(scores.shape, scores.dtype))
    # After the prompts: the state, and the logits of the first token to write, [batch, vocab].
    (state, logits), _ = lax.scan(read, begin, (jnp.arange(prompt.shape[1]), prompt.T))

    # What is never written, since all rows are done, is the stop token.
    filler, count = (0, length) if stop_token is None else (stop_token, 0)
    first = _Carry(
        t=jnp.int32(0),
        state=state,
        logits=logits,
        tokens=jnp.full((rows, length), filler, jnp.int32),
        lengths=jnp.full(rows, count, jnp.int32),
        done=jnp.zeros(rows, bool),
    )
    end = lax.while_loop(goes_on, write, first)
    return Samples(end.tokens, end.lengths)


def sample_logits(
    key: KeyArray,
    logits: Float[Array, " vocab"],
    *,
    temperature: ArrayLike = 1.0,
    top_k: ArrayLike | None = None,
    top_p: ArrayLike | None = None,
) -> Int[Array, ""]:
    """Draws one token from softmax(logits / temperature), cut to the best tokens.

    Args:
      key: what the draw comes from.
      logits: `[vocab]` scores.
      temperature: 0 takes the best token.
      top_k: keep the k best tokens; None keeps all.
      top_p: keep the smallest set of best tokens with at least this probability, after the
        temperature; the best one always stays.

    Returns:
      A token, int32.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    temperature = jnp.asarray(temperature, logits.dtype)
    greedy = jnp.argmax(logits)
    # Where the temperature is 0 the draw is thrown away: any divisor but 0 will do.
    logits = logits / jnp.where(temperature == 0, 1, temperature)
    if top_k is not None or top_p is not None:
        # The scores from the best to the worst, [vocab].
        order = jnp.argsort(-logits)
        ranked, rank = logits[order], jnp.arange(logits.shape[0])
        if top_k is not None:
            # What is cut off has no probability left.
            ranked = jnp.where(rank < top_k, ranked, -jnp.inf)
        if top_p is not None:
            # The probability of all better tokens: below top_p, one more is needed.
            better = jnp.cumsum(jax.nn.softmax(ranked)) - jax.nn.softmax(ranked)
            ranked = jnp.where((better < top_p) | (rank == 0), ranked, -jnp.inf)
        # Back from ranks to tokens, [vocab].
        logits = jnp.full_like(logits, -jnp.inf).at[order].set(ranked)
    drawn = jax.random.categorical(key, logits)
    return jnp.where(temperature == 0, greedy, drawn).astype(jnp.int32)


def _is_many(key: Array) -> bool:
    """Tells keys in a row from one; one of the older form is an array of numbers itself."""
    return key.ndim > 0 and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _check_range(name: str, value: Any, low: int, high: int | None) -> None:
    """Refuses a known value that is out of its range; `high` None is no bound."""
    if value is None or isinstance(value, Tracer):
        return
    wanted = f"at least {low}" if high is None else f"at least {low} and at most {high}"
    too_high = high is not None and float(value) > high
    # Not `value < low`, which lets NaN through.
    if too_high or not low <= float(value):
        raise ValueError(f"{name} is {value}; give {wanted}")
