"""A recurrent decoder that attends to a memory, whatever the memory is made of."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from seqjax.attention import Attended
from seqjax.models.attention import Attention, Memory, Score, nothing_seen
from seqjax.models.copying import Copying
from seqjax.models.decoder_options import Form, check_options
from seqjax.models.embedding import token_table
from seqjax.models.recurrent import Recurrent, scanned
from seqjax.models.rows import by_rows, score, scorer
from seqjax.recurrence import Recurrence
from seqjax.training.schedules import mix_tokens
from seqjax.typing import Backend, Output, Remat, State

Embedded = Float[Array, "*batch embedding"]


class DecoderState(NamedTuple):
    """Holds what a decoder remembers; every leaf begins with the batch.

    Attributes:
      recurrent: the recurrence's state.
      attention: the weights of the last step, `[batch, positions]`; 0 before the first one and
        without attention.
      feed: with input feeding the last readout, `[batch, readout]`, else empty.
      coverage: with coverage the sum of all weights so far, `[batch, positions]`, else empty.
    """

    recurrent: State
    attention: Float[Array, "batch positions"]
    feed: Any = ()
    coverage: Any = ()


class Decoded(NamedTuple):
    """Holds what a decoder says under teacher forcing.

    Attributes:
      logits: `[batch, time, vocab]`; of a decoder that copies, log-probabilities of the extended
        vocabulary.
      attention: the weights of every step, `[batch, time, positions]`; without attention 0.
    """

    logits: Float[Array, "batch time vocab"]
    attention: Float[Array, "batch time positions"]


class _Seen(NamedTuple):
    """One step or several: the recurrence's outputs, the contexts, the weights, `[batch, ...]`."""

    outputs: Array
    contexts: Array
    weights: Array


_Stepped = tuple[State, _Seen]


class Decoder(nn.Module):
    """Writes tokens one after another, looking at a memory `[batch, positions, features]`.

    The memory may be the outputs of an encoder, the grid of an image's features, frames of sound.
    One step, in Luong's form (2015), which looks with the recurrence's new output:

        h_t = recurrence([embed(token); feed_{t-1} with input feeding]);  c_t = attention(h_t)
        r_t = tanh([h_t; c_t] W);  logits = r_t V + b;  feed_t = r_t

    and in Bahdanau's (2015), which looks before the step with the state shown by the recurrence's
    last layer:

        c_t = attention(h_{t-1});  h_t = recurrence([embed(token); c_t])
        r_t = tanh([h_t; c_t; embed(token)] W)

    Without attention `r_t = h_t` (Sutskever et al., 2014). Luong's form without input feeding and
    coverage runs the recurrence over the whole sequence at once (`seqjax.unroll`) and looks for all
    steps together: much the fastest to train. Dropout is on while `apply` is given a `"dropout"`
    key.

    Attributes:
      vocab_size: tokens of the vocabulary.
      embedding_size: features of a token's embedding.
      recurrence: any causal recurrence; Bahdanau's form wants a last layer that shows its state.
      attention: a score of `seqjax.models.Attention`, or None.
      form: `"luong"` or `"bahdanau"`.
      input_feeding: Luong's form reads its last readout beside each token.
      attention_units: see `Attention.units`.
      coverage: attention sees how much each position was looked at so far, see
        `Attention.coverage`.
      copying: ids beyond the vocabulary that may be copied, 0 for none; None for a decoder that
        does not copy.
      dropout: rate on embeddings and readouts.
      tied: project with the transposed embedding (Press and Wolf, 2017); the readout takes the
        embedding's size.
      unknown: what an id beyond the vocabulary is read as.
      embed: an embedding to share; None makes one.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.
    """

    vocab_size: int
    embedding_size: int
    recurrence: Recurrence
    attention: Score | None = "general"
    form: Form = "luong"
    input_feeding: bool = False
    attention_units: int | None = None
    coverage: bool = False
    copying: int | None = None
    dropout: float = 0.0
    tied: bool = False
    unknown: int = 1
    embed: nn.Embed | None = None
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: options that do not go together, or a recurrence that is not causal.
        """
        check_options(self)
        self.table = self.embed or token_table(self.vocab_size, self.embedding_size, self.tied)
        self.recurrent = Recurrent(self.recurrence, self.remat, self.backend)
        self.drop = nn.Dropout(self.dropout)
        if self.attention is not None:
            self.look = Attention(
                self._outputs, self.attention, self.attention_units, self.coverage
            )
            self.combine = nn.Dense(self._readout, use_bias=False)
        if self.tied:
            self.bias = self.param("bias", nn.initializers.zeros, (self.vocab_size,))
        else:
            self.head = scorer(self.vocab_size, self.backend)
        if self.copying is not None:
            self.copier = Copying(self.copying)

    def prepare(
        self,
        values: Float[Array, "batch positions features"],
        mask: Bool[Array, "batch positions"] | None = None,
        held: Int[Array, "batch positions"] | None = None,
    ) -> Memory:
        """Makes a memory: values at valid positions, and their keys.

        Args:
          values: what to look at.
          mask: True at valid positions; None when all are.
          held: the token id of each position, for a decoder that copies.

        Raises:
          ValueError: a decoder that copies was not told what the positions hold.
        """
        if self.copying is not None and held is None:
            raise ValueError(
                "a decoder that copies wants to know the token that each position holds; give held"
            )
        mask = jnp.ones(values.shape[:2], bool) if mask is None else mask
        # What stands past a row's end may be anything, NaN included.
        values = jnp.where(mask[..., None], values, 0)
        # Without attention nobody asks for keys.
        keys = values
        if self.attention is not None:
            keys, values = self.look.prepare(values)
        return Memory(keys, values, mask, held)

    def initial_state(self, memory: Memory, recurrent: State | None = None) -> DecoderState:
        """Makes the state before the first token.

        Args:
          memory: from `prepare`.
          recurrent: the recurrence's, for example made of what an encoder remembers; None for its
            own initial state.
        """
        # Nothing has been looked at yet: weights [batch, positions].
        batch, zeros = memory.mask.shape[0], jnp.zeros(memory.mask.shape, memory.values.dtype)
        if recurrent is None:
            size = self.embedding_size + self._beside(memory)
            recurrent = self.recurrent.initial_state((batch,), size, memory.values.dtype)
        # Before the first readout there is none to feed: [batch, readout].
        feed = ()
        if self.input_feeding:
            feed = jnp.zeros((batch, self._readout), memory.values.dtype)
        coverage = zeros if self.coverage else ()
        return DecoderState(recurrent, zeros, feed, coverage)

    def __call__(
        self,
        memory: Memory,
        state: DecoderState,
        tokens: ArrayLike,
        *,
        sampling: ArrayLike | None = None,
    ) -> Decoded:
        """Scores every next token, given the true ones before it.

        Args:
          memory: from `prepare`.
          state: from `initial_state`.
          tokens: what the decoder reads, `[batch, time]`: the targets one step later, see
            `training.shift_right`.
          sampling: probability of reading the true token; else the decoder's own best one is read,
            and no gradient flows through the choice (Bengio et al., 2015). `apply` wants a
            `"sampling"` key then. None reads the true.

        Returns:
          `Decoded(logits, attention)`.
        """
        tokens = jnp.asarray(tokens)
        if sampling is not None:
            return self._sampled(memory, state, tokens, jnp.asarray(sampling))
        embedded = self._embed(tokens)
        if self._stepwise:
            return self._looped(memory, state, embedded)
        # No step waits for what the one before has seen: [batch, time, outputs] in one go.
        _, outputs = self.recurrent(embedded, state.recurrent)
        # Looks for all steps at once: [batch, time, ...].
        context, weights = self._look(memory, state, outputs)
        seen = _Seen(outputs, context, weights)
        return Decoded(self._scores(memory, seen, embedded), weights)

    def step(
        self, memory: Memory, state: DecoderState, tokens: ArrayLike
    ) -> tuple[DecoderState, Float[Array, "batch vocab"]]:
        """Reads one token of each row, `[batch]`; returns the state and the next one's scores."""
        embedded = self._embed(jnp.asarray(tokens))
        state, seen = self._advance(memory, state, embedded)
        # A sequence of one step: [batch, 1, ...].
        seen = _Seen(*(part[:, None] for part in seen))
        return state, self._scores(memory, seen, embedded[:, None])[:, 0]

    def read(self, memory: Memory, embedded: Float[Array, "batch embedding"]) -> DecoderState:
        """Returns the state before the first token, after this was read as an embedded one."""
        return self._advance(memory, self.initial_state(memory), self._dropped(embedded))[0]

    @property
    def _outputs(self) -> int:
        return self.recurrence.output_size(self.embedding_size)

    @property
    def _readout(self) -> int:
        return self.embedding_size if self.tied else self._outputs

    @property
    def _stepwise(self) -> bool:
        """Tells whether a step's input depends on the step before."""
        looks_back = self.form == "bahdanau" or self.attention == "location"
        return looks_back or self.input_feeding or self.coverage

    def _beside(self, memory: Memory) -> int:
        """Counts the features that the recurrence reads beside the embedding."""
        if self.form == "bahdanau":
            return memory.values.shape[-1]
        return self._readout if self.input_feeding else 0

    def _embed(self, tokens: Int[Array, "*batch"]) -> Float[Array, "*batch embedding"]:
        if self.copying is not None:
            # A copied token has no embedding of its own.
            tokens = jnp.where(tokens < self.vocab_size, tokens, self.unknown)
        return self._dropped(self.table(tokens))

    def _dropped(self, x: Array) -> Array:
        return self.drop(x, deterministic=not self.has_rng("dropout"))

    def _look(self, memory: Memory, state: DecoderState, query: Array) -> Attended:
        """Returns context and weights of queries `[batch, steps, features]`."""
        if self.attention is None:
            return nothing_seen(query, memory.mask.shape[-1])
        # What was looked at before, as of one step: [batch, 1, positions].
        history = {}
        if self.attention == "location":
            history["before"] = state.attention[:, None]
        if self.coverage:
            history["coverage"] = state.coverage[:, None]
        return self.look(query, memory.keys, memory.values, memory.mask, **history)

    def _look_once(self, memory: Memory, state: DecoderState, query: Output) -> tuple[Array, Array]:
        """Returns context and weights of one query of each row, `[batch, features]`."""
        context, weights = self._look(memory, state, query[:, None])
        return context[:, 0], weights[:, 0]

    def _luong_step(self, memory: Memory, state: DecoderState, embedded: Embedded) -> _Stepped:
        """Steps, then looks with the new output."""
        x = embedded
        if self.input_feeding:
            # [batch, embedding + readout]
            x = jnp.concatenate([embedded, state.feed], -1)
        # h_t, [batch, outputs]
        recurrent, output = self.recurrent.step(state.recurrent, x)
        # c_t, [batch, values]
        context, weights = self._look_once(memory, state, output)
        return recurrent, _Seen(output, context, weights)

    def _bahdanau_step(self, memory: Memory, state: DecoderState, embedded: Embedded) -> _Stepped:
        """Looks with the state that is shown, then steps with what was seen."""
        # h_{t-1}, [batch, hidden]
        query = self.recurrence.shown(state.recurrent)
        if query is None:
            raise ValueError(
                f"form='bahdanau' looks with the state, and {self.recurrence} shows none; "
                "use form='luong'"
            )
        query = query.astype(embedded.dtype)
        # c_t, [batch, values]
        context, weights = self._look_once(memory, state, query)
        # [batch, embedding + values]
        x = jnp.concatenate([embedded, context], -1)
        # h_t, [batch, outputs]
        recurrent, output = self.recurrent.step(state.recurrent, x)
        return recurrent, _Seen(output, context, weights)

    def _advance(self, memory: Memory, state: DecoderState, embedded: Embedded) -> _Stepped:
        """Makes one step of everything but the scores."""
        step = self._bahdanau_step if self.form == "bahdanau" else self._luong_step
        recurrent, seen = step(memory, state, embedded)
        # r_t, which the next step reads beside its token, [batch, readout].
        feed = ()
        if self.input_feeding:
            feed = self._read(seen.outputs, seen.contexts, embedded)
        # All that was looked at so far, this step counted, [batch, positions].
        coverage = state.coverage + seen.weights if self.coverage else ()
        return DecoderState(recurrent, seen.weights, feed, coverage), seen

    def _looped(self, memory: Memory, state: DecoderState, embedded: Embedded) -> Decoded:
        """Runs teacher forcing step by step."""

        def body(module: "Decoder", state: DecoderState, x: Array) -> tuple[DecoderState, _Seen]:
            return module._advance(memory, state, x)

        # Each [batch, time, ...]. No step waits for the scores: they are made for all at once.
        _, seen = scanned(body, self.remat)(self, state, embedded)
        return Decoded(self._scores(memory, seen, embedded), seen.weights)

    def _sampled(
        self, memory: Memory, state: DecoderState, tokens: Int[Array, "batch time"], chance: Array
    ) -> Decoded:
        """Runs scheduled sampling: each step waits for the scores of the one before."""

        def body(
            module: "Decoder", carry: tuple[DecoderState, Array], true: Array
        ) -> tuple[tuple[DecoderState, Array], tuple[Array, Array]]:
            state, own = carry
            # At the first step there is no choice of one's own.
            own = jnp.where(own < 0, true, own)
            token = mix_tokens(module.make_rng("sampling"), chance, true, own)
            state, logits = module.step(memory, state, token)
            # The choice for the next step, [batch].
            best = logits.argmax(-1).astype(tokens.dtype)
            return (state, best), (logits, state.attention)

        # No token has the number -1: it stands for no choice yet, [batch].
        none = jnp.full_like(tokens[:, 0], -1)
        _, (logits, weights) = scanned(body, self.remat)(self, (state, none), tokens)
        return Decoded(logits, weights)

    def _read(self, output: Array, context: Array, embedded: Array) -> Array:
        """Computes the readout r_t, `[..., readout]`."""
        if self.attention is None:
            return self._dropped(output)
        # Side by side, [..., outputs + values], in Bahdanau's form with the embedding.
        parts = [output, context]
        if self.form == "bahdanau":
            parts.append(embedded)
        return self._dropped(jnp.tanh(self.combine(jnp.concatenate(parts, -1))))

    def _scores(self, memory: Memory, seen: _Seen, embedded: Embedded) -> Array:
        """Scores every token, `[batch, steps, vocab]`."""
        readout = self._read(seen.outputs, seen.contexts, embedded)
        # [batch, steps, vocab], by the embedding transposed or by a layer of its own.
        if self.tied:
            logits = score(self.table, readout, self.backend) + self.bias[None, None, :]
        else:
            logits = by_rows(self.head, readout)
        if self.copying is None:
            return logits
        # See et al., 2017: context, state and input decide between writing and copying.
        features = jnp.concatenate([seen.outputs, seen.contexts, embedded], -1)
        held: Any = memory.held
        return self.copier(features, logits, seen.weights, held)
