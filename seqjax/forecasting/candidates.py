"""The forecasters that `auto` compares: simple ones that learn at once, then networks."""

import dataclasses
from typing import Any

from seqjax.cells import GRU, LSTM
from seqjax.combinators import stack
from seqjax.forecasting.baselines import Linear, SeasonalNaive
from seqjax.forecasting.calendar import seasons
from seqjax.forecasting.deepar import DeepAR
from seqjax.forecasting.direct import Direct
from seqjax.forecasting.encoder_decoder import EncoderDecoder
from seqjax.forecasting.interface import Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.segrnn import SegRNN
from seqjax.training import Recipe

LONGEST = 512
"""Steps of the longest context that is tried."""

RECIPE = Recipe(
    steps=800, every=80, patience=4, batch_size=64, learning_rate=2e-3, clip=10.0, average=0.98
)
"""How each network is trained; fewer steps where time runs out."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A forecaster to be compared.

    Attributes:
      label: in the table of what was tried.
      forecaster: what is fitted.
      recipe: how, for a network; None for what learns at once.
    """

    label: str
    forecaster: Forecaster
    recipe: Recipe | None = None


def candidates(panel: Panel, horizon: int, season: int | None = None) -> list[Candidate]:
    """Lists forecasters for a panel, the quickest first, then networks, the most promising first.

    Args:
      panel: what is learnt from.
      horizon: steps to forecast.
      season: its steps; None for the shortest that the panel's step has.

    Raises:
      ValueError: the horizon is below 1.
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; give at least 1 step")
    cycles = _cycles(panel, season)
    found = [Candidate("naive", SeasonalNaive(horizon=horizon, season=1))]
    for cycle in cycles:
        if cycle > 1:
            label = f"seasonal naive, {cycle} steps"
            found.append(Candidate(label, SeasonalNaive(horizon=horizon, season=cycle)))
    contexts = _contexts(panel, horizon, cycles)
    for context in contexts:
        found.append(
            Candidate(f"linear, {context} steps read", Linear(horizon=horizon, context=context))
        )
    return found + _networks(panel, horizon, contexts)


def _networks(panel: Panel, horizon: int, contexts: list[int]) -> list[Candidate]:
    """Lists the networks: of each kind one before a second of any."""
    middle, longest = contexts[len(contexts) // 2], contexts[-1]
    small = GRU(32)
    lags = panel.lags(longest)
    shared: dict[str, Any] = {"horizon": horizon, "lags": lags}
    made = [
        Direct(**shared, context=middle, recurrence=small, scaling="last", dropout=0.2),
        DeepAR(**shared, context=middle, recurrence=_deep(), scaling="standard"),
        Direct(**shared, context=longest, recurrence=GRU(16), scaling="standard", dropout=0.3),
        EncoderDecoder(**shared, context=middle, recurrence=small, scaling="last"),
        SegRNN(
            horizon=horizon,
            context=longest,
            recurrence=GRU(64),
            segment=max(2, min(24, horizon // 2)),
            scaling="standard",
            dropout=0.2,
        ),
        DeepAR(**shared, context=middle, recurrence=_deep(), scaling="mean"),
    ]
    return [Candidate(f"{each.name}, {_described(each)}", each, RECIPE) for each in made]


def _deep() -> Any:
    return stack(LSTM(32), LSTM(32), dropout=0.1)


def _cycles(panel: Panel, season: int | None) -> list[int]:
    """Lists the steps of each season that the shortest series holds at least twice."""
    known = {1} if panel.step is None else set(seasons(panel.step, panel.weekdays))
    if season is not None:
        known.add(season)
    return sorted(cycle for cycle in known if 2 * cycle <= panel.lengths.min()) or [1]


def _contexts(panel: Panel, horizon: int, cycles: list[int]) -> list[int]:
    """Lists contexts: short, two seasons, the longest season and a bit more; none above a third of a series."""
    most = max(2, min(LONGEST, (int(panel.lengths.max()) - horizon) // 3))
    long = max(32, 4 * horizon, cycles[-1] + cycles[0])
    wanted = {max(8, horizon), max(16, 2 * horizon, 2 * cycles[0]), long}
    return sorted({min(context, most) for context in wanted})


def _described(made: Any) -> str:
    return f"{made.context} steps read, scaled by {made.scaling}"
