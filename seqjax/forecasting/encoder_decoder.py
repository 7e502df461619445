"""Sequence to sequence with attention, trained by teacher forcing or scheduled sampling, free-running at test time."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.forecasting.forecast import LEVELS
from seqjax.forecasting.inputs import Batch, Static, WindowNetwork, scaled, split_inputs
from seqjax.forecasting.network import HorizonForecaster
from seqjax.losses.likelihoods import Likelihood, Quantile
from seqjax.models.attention import Attention, Score
from seqjax.models.recurrent import Recurrent
from seqjax.training import linear_sampling, mix_tokens
from seqjax.typing import KeyArray, Params


class EncoderDecoderNetwork(WindowNetwork):
    """An encoder reads the context; a decoder writes the horizon, looking back at the encoder's outputs.

        h_k = recurrence([y_{k-1}; x_k]);  c_k = attention(h_k)
        raw_k = [tanh([h_k; c_k] W); y_{k-1}; x_k's lags] U + b

    with `x_k` what is known of the k-th step, see `DirectNetwork`. It is Luong's form of
    `seqjax.models.Decoder`, which itself embeds tokens and scores a vocabulary, where this reads
    numbers and covariates and says a likelihood's.

    Attributes: see `EncoderDecoder`.
    """

    attention: Score

    def setup(self) -> None:
        """Builds the layers."""
        self.static = Static(self.kinds, self.embedding_size)
        self.encoder = Recurrent(self.recurrence, backend=self.backend)
        self.decoder = Recurrent(self.recurrence, backend=self.backend)
        units = self.recurrence.output_size(1)
        self.look = Attention(units, self.attention)
        self.combine = nn.Dense(units)
        self.head = nn.Dense(self.likelihood.size)

    def __call__(self, batch: Batch, probability: Any = 0.0) -> Float[Array, "rows horizon size"]:
        """Computes the numbers of every step of the horizon.

        Args:
          batch: windows.
          probability: of reading the true value before a step where it was seen, else the mean of
            what was said of it, through which no gradient flows. `apply` wants a `"sampling"` key
            for any but 0, which looks at no truth.
        """
        static = self.static(batch["category"], batch["scale"])
        xs, ahead = split_inputs(batch, self.lags, self.horizon, static)
        state, outputs = self.encoder(xs)
        memory = self.look.prepare(outputs)
        free = isinstance(probability, float) and probability == 0
        before = slice(-self.horizon - 1, -1)
        # The value before each step of the horizon, and whether it was seen: [horizon, rows].
        true, seen = scaled(batch)[:, before].T, batch["seen"][:, before].T

        def body(module: Any, carry: Any, inputs: Any) -> tuple[Any, Array]:
            (state, own, looked), (true, seen, ahead) = carry, inputs
            fed = (
                own
                if free
                else mix_tokens(
                    module.make_rng("sampling"), probability, jnp.where(seen, true, own), own
                )
            )
            state, output = module.decoder.step(
                state, jnp.concatenate([fed[:, None], ahead], axis=-1)
            )
            raw, looked = module.say(memory, output, looked, fed, ahead)
            return (state, module.likelihood.mean(module.likelihood.parameters(raw)), looked), raw

        rngs: dict[Any, bool] = {"params": False, "dropout": True, "sampling": True}
        loop: Any = nn.scan(body, variable_broadcast="params", split_rngs=rngs, out_axes=1)
        # The first step reads the last value of the context, and has looked at nothing yet.
        begin = (state, true[0], jnp.zeros(outputs.shape[:2]))
        return loop(self, begin, (true, seen, jnp.moveaxis(ahead, 1, 0)))[1]

    def say(
        self, memory: tuple[Array, Array], output: Array, looked: Array, fed: Array, ahead: Array
    ) -> tuple[Float[Array, "rows size"], Float[Array, "rows positions"]]:
        """Computes the likelihood's numbers of a step: of what was found, and directly of the values read.

        Beside them the weights of the attention, which at the step before were `looked`.
        """
        context, weights = self.look(output[:, None], *memory, before=looked[:, None])
        found = nn.tanh(self.combine(jnp.concatenate([output, context[:, 0]], axis=-1)))
        return self.head(
            jnp.concatenate([found, fed[:, None], ahead[:, : len(self.lags)]], axis=-1)
        ), weights[:, 0]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class EncoderDecoder(HorizonForecaster):
    """Sequence to sequence with attention (Bahdanau et al., 2015; Luong et al., 2015), for values.

    It forecasts by running freely: each step reads the mean of what the step before said. Trained
    by teacher forcing alone it never met its own errors, which then add up over the horizon;
    scheduled sampling (Bengio et al., 2015) lets it meet them.

    Attributes:
      attention: a score of `seqjax.models.Attention`.
      sampling_steps: steps of training over which the probability of reading the true value falls
        from 1 to 0; None for teacher forcing throughout.
    """

    likelihood: Likelihood = Quantile(LEVELS)
    attention: Score = "general"
    sampling_steps: int | None = None

    name: ClassVar[str] = "encoder_decoder"

    def network(self) -> EncoderDecoderNetwork:
        """Makes the Flax module."""
        return EncoderDecoderNetwork(**self._shared(), attention=self.attention)

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """Computes the likelihood's numbers in training, where some or all values read are the true ones."""
        probability = (
            1.0 if self.sampling_steps is None else linear_sampling(self.sampling_steps)(step)
        )
        dropout, sampling = jax.random.split(rng)
        rngs = {"dropout": dropout, "sampling": sampling}
        return self._apply(params, batch, probability, rngs=rngs)
