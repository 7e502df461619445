"""Small panels for the tests of forecasters."""

import numpy as np

from seqjax.forecasting import Panel

HOUR = np.timedelta64(1, "h")


def waves(series=3, steps=80, noise=0.1, seed=0, **options):
    """Waves of period 6 around 5, each of its own size."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    values = [
        (s + 1) * (5 + 2 * np.sin(2 * np.pi * t / 6 + s) + noise * rng.normal(size=steps))
        for s in range(series)
    ]
    return Panel(values, names="abcdefgh"[:series], **options)


def rich(seed=0):
    """Two series with everything: times, covariates, categories, a missing value."""
    rng = np.random.default_rng(seed)
    values = [5 + rng.normal(size=n) for n in (40, 30)]
    values[0][33] = np.nan
    return Panel(
        values,
        names=("a", "b"),
        step=HOUR,
        starts=np.array(["2024-01-01T00", "2024-01-02T05"], "datetime64[h]"),
        known=[rng.normal(size=(n + 3, 1)) for n in (40, 30)],
        past=[rng.normal(size=(n, 2)) for n in (40, 30)],
        categories=np.array([[0], [2]]),
    )
