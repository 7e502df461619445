"""What the step of a series says: its seasons, the lags worth looking at, and features of the calendar."""

import numpy as np

SEASONS = {
    "us": (1_000_000, 60_000_000),
    "ms": (1000, 60_000),
    "s": (60, 3600),
    "m": (60, 1440),
    "h": (24, 168),
    "D": (7, 365),
    "W": (52,),
    "M": (12,),
    "Y": (1,),
}
"""Steps of each season, by NumPy's unit of the step."""

NEAREST = (1, 2, 3)
"""Lags worth looking at whatever the step."""


def seasons(step: np.timedelta64, weekdays: str | None = None) -> tuple[int, ...]:
    """Counts the steps of each season, the shortest first: an hour is a 24th of a day and a 168th of a week.

    Args:
      step: between two values, for example `np.timedelta64(30, "m")`; one without a unit has no
        season.
      weekdays: the days of a week that there are, such as "1111100" from Monday to Friday; None for
        all.

    Returns:
      The seasons of at least two steps, (1,) where there is none.

    Raises:
      ValueError: the step is not positive.

    Example:
      >>> seasons(np.timedelta64(30, "m")), seasons(np.timedelta64(60, "m")), seasons(np.timedelta64(3, "M"))
      ((48, 336), (24, 168), (4,))
    """
    if np.datetime_data(step.dtype)[0] == "generic":
        return (1,)
    if weekdays is not None:
        days = weekdays.count("1")
        return (days, round(days * 365 / 7))
    unit, count = _reduced(step)
    if unit == "s" and count > 1:
        return _whole((3600, 86400), count)
    if unit == "m" and count > 1:
        return _whole((1440, 10080), count)
    return _whole(SEASONS[unit], count)


def lags(
    step: np.timedelta64, most: int | None = None, weekdays: str | None = None
) -> tuple[int, ...]:
    """Lists the lags at which a series is likely to repeat itself: the nearest, then around each season and its double.

    Args:
      step: between two values.
      most: the largest lag to give; None for all.
      weekdays: the days of a week that there are; None for all.

    Returns:
      Lags in steps, ascending.

    Example:
      >>> lags(np.timedelta64(1, "h"))
      (1, 2, 3, 23, 24, 25, 48, 167, 168, 169, 336)
    """
    found = set(NEAREST)
    for season in seasons(step, weekdays):
        found |= {season - 1, season, season + 1, 2 * season}
    return tuple(sorted(lag for lag in found if lag >= 1 and (most is None or lag <= most)))


def calendar_features(times: np.ndarray) -> np.ndarray:
    """Places each time in its day, week and year, as points of a circle.

    Args:
      times: `[time]`, datetime64.

    Returns:
      float32 `[time, 6]`: sine and cosine of the time of day, of the week, of the year.
    """
    seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
    year = times.astype("datetime64[Y]")
    since = seconds - year.astype("datetime64[s]").astype(np.int64)
    length = ((year + 1).astype("datetime64[s]") - year.astype("datetime64[s]")).astype(np.int64)
    # 1 January 1970 was a Thursday.
    shares = (seconds % 86400 / 86400, (seconds + 3 * 86400) % 604800 / 604800, since / length)
    angles = 2 * np.pi * np.stack(shares, axis=-1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)


def _reduced(step: np.timedelta64) -> tuple[str, int]:
    """Gives the step in the largest unit that it is a whole number of."""
    unit = np.datetime_data(step.dtype)[0]
    if step <= np.timedelta64(0, unit):
        raise ValueError(
            f"the step is {step}; give a positive one, for example np.timedelta64(1, 'h')"
        )
    if unit in ("M", "Y"):
        months = int(step.astype("timedelta64[M]").astype(int))
        return ("Y", months // 12) if months % 12 == 0 else ("M", months)
    for larger in ("W", "D", "h", "m", "s", "ms", "us"):
        if step % np.timedelta64(1, larger) == np.timedelta64(0, unit):
            return larger, int(step // np.timedelta64(1, larger))
    raise ValueError(f"the step is {step}; give whole microseconds")


def _whole(cycles: tuple[int, ...], count: int) -> tuple[int, ...]:
    steps = tuple(cycle // count for cycle in cycles if cycle % count == 0 and cycle > count)
    return steps or (1,)
