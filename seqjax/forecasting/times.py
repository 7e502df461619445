"""Times of a table: how they are written, and which calendar makes their steps equal."""

import datetime
import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

YEARS = range(1500, 2201)
"""Whole numbers that are years where every time of a column is among them; else they count."""

FORMATS = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %Y",
    "%b-%Y",
    "%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%y",
    "%d-%b-%Y",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
"""Dates and times of day that `time_format` is often asked for; a complaint names those that fit."""

WORKING = "1111100"
"""Monday to Friday."""

SECOND, DAY = 1_000_000, 86_400_000_000  # in microseconds


class Clocks(NamedTuple):
    """Times as two clocks show them; equal where no offset is given.

    Attributes:
      utc: datetime64[us] `[rows]`, or int64 where whole numbers count the rows.
      local: the same on the clock of the place, without its offset.
    """

    utc: np.ndarray
    local: np.ndarray


class Calendar(NamedTuple):
    """What makes the steps of times equal.

    Attributes:
      step: between two values.
      positions: of each time in the unit of the step, int64 `[rows]`.
      times: in the unit of the step, `[rows]`.
      weekdays: "1111100" where the times are those from Monday to Friday; None where they are all
        days.
    """

    step: np.timedelta64
    positions: np.ndarray
    times: np.ndarray
    weekdays: str | None = None

    def irregular(self, parts: Sequence[np.ndarray]) -> int:
        """How many neighbours of the series, given by their rows, are not one step apart."""
        each = self.step.astype(np.int64)
        return sum(int((np.diff(self.positions[rows]) != each).sum()) for rows in parts)


def parse_time(text: str) -> np.datetime64:
    """An ISO 8601 time, in UTC where it has an offset; also a year, or a year and a month.

    Returns:
      Seconds, or microseconds where the time has a fraction.

    Raises:
      ValueError: it is none.
    """
    moment, _ = _parse(text, None)
    whole = moment.astype("datetime64[s]")
    return whole if whole == moment else moment


def read_clocks(
    path: str | os.PathLike,
    name: str,
    texts: Sequence[str],
    lines: Sequence[int],
    time_format: str | None = None,
) -> Clocks:
    """The times of a column.

    Whole numbers are years (`1990`), years and months (`199001`), dates (`19900131`) or seconds and
    milliseconds since 1970 (of 10 and 13 digits) where all of them can be; else they count.

    Args:
      path: the file that they come from.
      name: of the column.
      texts: of its rows.
      lines: where each stands.
      time_format: as of `datetime.strptime`, such as "%m/%d/%Y"; None for ISO 8601.

    Raises:
      ValueError: one is no time (with its line, and formats that fit all of them).
    """
    texts = [text.strip() for text in texts]
    if time_format is None and all(re.fullmatch(r"[+-]?\d{1,18}", text) for text in texts):
        found = _whole_numbers(texts)
        return Clocks(found, found)
    pairs = []
    for line, text in zip(lines, texts, strict=True):
        try:
            pairs.append(_parse(text, time_format))
        except ValueError:
            where = f"{path}, line {line}: {text!r} in {name!r}"
            raise ValueError(f"{where} {_how_to_write(texts, time_format)}") from None
    utc, local = (np.array(column, "datetime64[us]") for column in zip(*pairs, strict=True))
    return Clocks(utc, local)


def calendar_of(clocks: Clocks, parts: Sequence[np.ndarray]) -> Calendar:
    """The calendar in which the times are one step apart; the nearest one where there is none.

    Days and months are those of the place, so that a local midnight stays one when clocks are
    changed; shorter steps are those of UTC, which no change of clocks disturbs.

    Args:
      clocks: the times of all series.
      parts: the rows of each series.
    """
    if clocks.utc.dtype.kind == "i":
        return _counts(clocks.utc, parts)
    daily = len(np.unique(_microseconds(clocks.local) % DAY)) == 1
    kinds: list[Callable[[], Calendar | None]] = []
    if daily:
        kinds += [
            lambda: _same_day_of_months(clocks.local, parts),
            lambda: _equal(clocks.local, parts),
        ]
        kinds += [lambda: _weekdays(clocks.local, parts), lambda: _months(clocks.local, parts)]
    kinds += [lambda: _equal(clocks.utc, parts), lambda: _equal(clocks.local, parts)]
    found = [calendar for kind in kinds if (calendar := kind()) is not None]
    # Where none is regular, the complaint shall be about the nearest; of equals the first is meant.
    return min(found, key=lambda calendar: calendar.irregular(parts))


def _parse(text: str, time_format: str | None) -> tuple[np.datetime64, np.datetime64]:
    """A time in UTC and as the clock of the place shows it, in microseconds."""
    if time_format is None and re.fullmatch(r"\d{4}(-\d\d)?", text):
        month = np.datetime64(text, "us")
        return month, month
    if re.search(r"[.,]\d{6}\d*[1-9]", text):
        raise ValueError("more exact than a microsecond")
    if time_format is None:
        moment = datetime.datetime.fromisoformat(text)
    else:
        moment = datetime.datetime.strptime(text, time_format)
    local = np.datetime64(moment.replace(tzinfo=None), "us")
    return local - np.timedelta64(moment.utcoffset() or datetime.timedelta(), "us"), local


def _how_to_write(texts: Sequence[str], time_format: str | None) -> str:
    """The end of a complaint about a time that cannot be read."""
    fitting = [
        date + clock for clock in CLOCKS for date in FORMATS if _all_fit(texts, date + clock)
    ]
    given = "time_format= or --time-format"
    if time_format is not None:
        return f"is not of the form {time_format!r}; mend it, or give another {given}"
    if fitting:
        return f"is no time; write it as 2024-01-31, or give {given}: {' or '.join(map(repr, fitting))} fits all rows"
    return f"is no time; write it as 2024-01-31 or 2024-01-31T23:00:00.5, or give {given}, such as '%m/%d/%Y'"


def _all_fit(texts: Sequence[str], time_format: str) -> bool:
    try:
        for text in texts:
            datetime.datetime.strptime(text, time_format)
    except ValueError:
        return False
    return True


def _whole_numbers(texts: Sequence[str]) -> np.ndarray:
    """Times or counts that are written as whole numbers."""
    values = np.array(texts, np.int64)
    widths = {len(text) for text in texts}
    years = {4: values, 6: values // 100, 8: values // 10_000}.get(min(widths))
    if len(widths) == 1 and years is not None and all(year in YEARS for year in years.tolist()):
        dates = [f"{text[:4]}-{text[4:6] or '01'}-{text[6:] or '01'}" for text in texts]
        if _all_fit(dates, "%Y-%m-%d"):
            return np.array(dates, "datetime64[us]")
    if widths in ({10}, {13}):
        return (values * (SECOND if widths == {10} else SECOND // 1000)).astype("datetime64[us]")
    return values


def _microseconds(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[us]").astype(np.int64)


def _usual(positions: np.ndarray, parts: Sequence[np.ndarray]) -> int:
    """The distance that most neighbours keep; 1 where no time is after another."""
    apart = np.concatenate([np.diff(positions[rows]) for rows in parts])
    kinds, counts = np.unique(apart[apart > 0], return_counts=True)
    return int(kinds[counts.argmax()]) if len(kinds) else 1


def _counts(values: np.ndarray, parts: Sequence[np.ndarray]) -> Calendar:
    """Whole numbers: a step without a unit."""
    return Calendar(np.timedelta64(_usual(values, parts)), values, values)


def _equal(times: np.ndarray, parts: Sequence[np.ndarray]) -> Calendar:
    """Equal lengths of time, in whole seconds where all times are."""
    exact = _microseconds(times)
    sizes = {"s": SECOND, "ms": SECOND // 1000, "us": 1}
    unit = next(unit for unit, size in sizes.items() if not (exact % size).any())
    positions = exact // sizes[unit]
    return Calendar(
        np.timedelta64(_usual(positions, parts), unit),
        positions,
        times.astype(f"datetime64[{unit}]"),
    )


def _months(times: np.ndarray, parts: Sequence[np.ndarray]) -> Calendar | None:
    """One time in each month, or in each so many of them, on whatever day; None where two are in one month."""
    months = times.astype("datetime64[M]")
    positions = months.astype(np.int64)
    if any((np.diff(positions[rows]) == 0).any() for rows in parts) or not any(
        len(rows) > 1 for rows in parts
    ):
        return None
    return Calendar(np.timedelta64(_usual(positions, parts), "M"), positions, months)


def _same_day_of_months(times: np.ndarray, parts: Sequence[np.ndarray]) -> Calendar | None:
    """Months where each time is on one day, or on the last of a month that has no such day; else None."""
    months = times.astype("datetime64[M]")
    day = (times.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    last = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(
        np.int64
    ) - 1
    return _months(times, parts) if (day == np.minimum(day.max(), last)).all() else None


def _weekdays(times: np.ndarray, parts: Sequence[np.ndarray]) -> Calendar | None:
    """Days of the week that come again each week, such as Monday to Friday; None where they are not plain."""
    days = times.astype("datetime64[D]")
    number = days.astype(np.int64)
    # 1 January 1970 was a Thursday: Monday is 0.
    present = np.bincount((number + 3) % 7, minlength=7) > 0
    if present.all() or present.sum() < 2:
        return None
    weekdays = "".join(str(int(there)) for there in present)
    positions = np.busday_count("1970-01-01", days, weekmask=weekdays).astype(np.int64)
    calendar = Calendar(np.timedelta64(1, "D"), positions, days, weekdays)
    # A day left out once may be missing; left out in two weeks it is no day of theirs. Weekends are
    # known.
    plain = np.ptp(number) >= 13 or (weekdays == WORKING and not calendar.irregular(parts))
    return calendar if plain else None
