"""SegRNN: a recurrence over segments, whose forecasts of all segments to come are parallel (Lin et al., 2023)."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from seqjax.cells import GRU
from seqjax.forecasting.forecast import LEVELS
from seqjax.forecasting.inputs import Batch, WindowNetwork, located, scaled
from seqjax.forecasting.network import HorizonForecaster, NetworkForecaster
from seqjax.forecasting.panel import Panel
from seqjax.losses.likelihoods import Likelihood, Quantile
from seqjax.recurrence import Recurrence
from seqjax.typing import KeyArray, Params, State
from seqjax.unrolling import unroll


class SegRNNNetwork(WindowNetwork):
    """A recurrence reads the context segment by segment; one step from its state says each segment to come.

        x_i = relu(W [context's segment i, minus the last value] + b);  h = recurrence(x_1 .. x_n)
        h_m = step(h, [position_m; series]);  raw of segment m = V dropout(h_m) + c

    and the last value is added back. Beside the values a segment holds which of them are missing,
    and the covariates of its steps; beside the position a step reads what the series is and what is
    known of its segment's steps. Where a panel has nothing but whole series this is the paper's
    network, with its vector of each channel where series are told apart.

    Attributes: see `SegRNN`.
    """

    segment: int
    dropout: float

    @nn.compact
    def __call__(self, batch: Batch) -> Float[Array, "rows horizon size"]:
        """Computes the numbers of every step of the horizon."""
        units = self.recurrence.output_size(1)
        drop = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))
        read, last = _context(batch, self.horizon)
        # [rows, segments read, units]
        embedded = nn.relu(nn.Dense(units, name="read")(_segments(read, self.segment)))
        params = self.param("recurrent", self.recurrence.init, units)
        rng = self.make_rng("dropout") if self.has_rng("dropout") else None
        state, _ = unroll(self.recurrence, params, embedded, rng=rng, backend=self.backend)
        position, series = self._told(batch, units)
        # [rows, segments to come, units]
        outputs = _one_step_each(self.recurrence, params, state, position, series, rng)
        size = self.likelihood.size
        raw = nn.Dense(self.segment * size, name="head")(drop(outputs))
        # The segments' steps one after another; those behind the horizon are left out.
        raw = raw.reshape(raw.shape[0], -1, size)[:, : self.horizon]
        return raw.at[..., located(self.likelihood)].add(last[:, None, None])

    def _told(self, batch: Batch, units: int) -> tuple[Array, Array]:
        """Makes what each step to come reads: a vector of its place and one of the series.

        Returns:
          `[segments, half of the units]` and `[rows, segments or 1, the other half]`, which is the
          same for all segments where nothing is known of their steps.
        """
        half = units // 2
        # From the front, so that the first segment begins with the horizon: [rows, segments, ...].
        ahead = batch["features"][:, -self.horizon :]
        fill = -self.horizon % self.segment
        ahead = _cut(jnp.pad(ahead, ((0, 0), (0, fill), (0, 0))), self.segment)
        series = nn.Dense(half, use_bias=False, name="size")(jnp.log10(batch["scale"])[:, None])
        for kind, count in enumerate(self.kinds):
            embed = nn.Embed(count, half, embedding_init=_standard, name=f"kind_{kind}")
            series = series + embed(batch["category"][:, kind])
        series = series[:, None]
        if ahead.shape[-1]:
            series = series + nn.Dense(half, use_bias=False, name="ahead")(ahead)
        return self.param("position", _standard, (ahead.shape[1], units - half)), series


def _standard(key: KeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Draws standard normal vectors, as the authors do."""
    return jax.random.normal(key, shape, dtype)


def _context(
    batch: Batch, horizon: int
) -> tuple[Float[Array, "rows context features"], Float[Array, " rows"]]:
    """Collects what is read of each step before the cut, and the last value seen of each row.

    The values are minus that last one; where one is missing it is 0, and a 1 beside it says so.
    """
    # Neither what is before the context nor anything behind the cut.
    context = slice(-batch["features"].shape[1], -horizon)
    values, seen = scaled(batch)[:, context], batch["seen"][:, context]
    last = _last(values, seen)
    parts = [jnp.where(seen, values - last[:, None], 0)[..., None], ~seen[..., None]]
    beside = [batch[name][:, :-horizon] for name in ("features", "past")]
    return jnp.concatenate([*parts, *beside], axis=-1), last


def _last(
    values: Float[Array, "rows context"], seen: Bool[Array, "rows context"]
) -> Float[Array, " rows"]:
    """Finds the last value that was seen; 0 where none was."""
    place = seen.shape[1] - 1 - jnp.argmax(seen[:, ::-1], axis=1)
    return jnp.take_along_axis(values, place[:, None], axis=1)[:, 0]


def _segments(
    read: Float[Array, "rows steps features"], length: int
) -> Float[Array, "rows segments segment"]:
    """Cuts steps into segments so that the last one ends with them; the first is filled with zeros in front."""
    fill = -read.shape[1] % length
    return _cut(jnp.pad(read, ((0, 0), (fill, 0), (0, 0))), length)


def _cut(
    steps: Float[Array, "rows steps features"], length: int
) -> Float[Array, "rows segments segment"]:
    """Lays the steps of each segment side by side."""
    rows, count, features = steps.shape
    return steps.reshape(rows, count // length, length * features)


def _one_step_each(
    recurrence: Recurrence,
    params: Params,
    state: State,
    position: Float[Array, "segments half"],
    series: Float[Array, "rows parts other"],
    rng: KeyArray | None,
) -> Float[Array, "rows segments units"]:
    """Makes one step from the same state for each segment, none after another.

    The state has no axis of segments, so that its product is computed once for all of them.
    """
    same = series.shape[1] == 1
    if same and isinstance(recurrence, GRU) and _is_plain(recurrence):
        return _gru_step_each(recurrence, params, state, position, series[:, 0])
    shape = (series.shape[0], *position.shape)
    # [rows, segments, units]
    xs = jnp.concatenate(
        [
            jnp.broadcast_to(position[None], shape),
            jnp.broadcast_to(series, (*shape[:2], series.shape[2])),
        ],
        axis=-1,
    )

    def step(x: Array) -> Array:
        return recurrence.step(params, state, x, rng=rng)[1]

    return jax.vmap(step, in_axes=1, out_axes=1)(xs)


def _is_plain(gru: GRU) -> bool:
    """Tells whether a GRU is linear in its input but for its gates; a subclass may step otherwise."""
    return type(gru).step is GRU.step and not gru.layer_norm


def _gru_step_each(
    gru: GRU,
    params: Params,
    state: Float[Array, "rows units"],
    position: Float[Array, "segments half"],
    series: Float[Array, "rows other"],
) -> Float[Array, "rows segments units"]:
    """Makes the steps of a GRU whose input is the same for a row or for a segment.

    The product with the series' half is computed once a row, and goes into the bias; that with the
    position once a segment. With `rows * segments` products the input would cost the most.
    """
    half = position.shape[1]
    # [rows, 3 units]
    biases = params["b"][None] + series @ params["w_x"][half:]
    shared = {**params, "w_x": params["w_x"][:half]}

    def step(bias: Array, h: Array, x: Array) -> Array:
        return gru.step({**shared, "b": bias}, h, x)[1]

    of_row = jax.vmap(step, in_axes=(None, None, 0))
    return jax.vmap(of_row, in_axes=(0, 0, None))(biases, state, position)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class SegRNN(HorizonForecaster):
    """SegRNN (Lin et al., 2023): segments are read, and all segments to come are said at once.

    The paper's settings are `GRU(512)`, a point forecast (`SquaredError()`), a dropout of 0.5,
    `identity=True` for the vector of each channel, and `scaling="none"` of series that are
    standardised by `value_units`. `lags` and `embedding_size` are not looked at.

    Attributes:
      segment: steps of a segment; what is left over of context or horizon is filled up.
      dropout: rate before the last layer.
      calendar: read the times of the values too.
    """

    recurrence: Recurrence = GRU(128)
    likelihood: Likelihood = Quantile(LEVELS)
    lags: tuple[int, ...] | None = (1,)
    segment: int = 24
    dropout: float = 0.0
    calendar: bool = False

    name: ClassVar[str] = "segrnn"

    def settled(self, panel: Panel) -> NetworkForecaster:
        """Fills in what the forecaster takes from a panel; of the times only where it reads them."""
        if not self.calendar:
            panel = dataclasses.replace(panel, starts=())
        return super().settled(panel)

    def check(self) -> None:
        """Refuses settings that do not go together.

        Raises:
          ValueError: says which.
        """
        super().check()
        if self.segment < 1:
            raise ValueError(f"segment is {self.segment}; give at least 1 step")
        if self.recurrence.output_size(1) < 2:
            raise ValueError(f"{self.recurrence} has a single unit; a SegRNN wants 2 or more")

    def network(self) -> SegRNNNetwork:
        """Makes the Flax module."""
        return SegRNNNetwork(**self._shared(), segment=self.segment, dropout=self.dropout)

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """Computes the likelihood's numbers in training, with dropout."""
        return self._apply(params, batch, rngs={"dropout": rng})
