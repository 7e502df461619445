"""`Panel`: many time series side by side, with what is known about them."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.forecasting.calendar import calendar_features, lags, seasons
from seqjax.forecasting.columns import Columns

Units = tuple[float | tuple[float, ...], float | tuple[float, ...]]
"""`(loc, scale)`, each a number for all series of a panel or one for each of them."""

PLAIN: Units = (0.0, 1.0)
"""The units in which values are what they are."""


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
    """Series of one step and any lengths; a missing value is NaN.

    Attributes:
      values: of each series, float64 `[time]`.
      names: of the series; empty for their numbers.
      step: between two values; None where it is not known, and then there is no calendar; nor is
        there one where it has no unit, as that of whole numbers.
      starts: when each series begins, datetime64 or whole numbers; with `step`.
      known: covariates known beforehand, such as holidays, float32 `[time + future, known]` for
        each series.
      past: covariates known only afterwards, such as a measured temperature, float32 `[time, past]`
        for each series.
      categories: what each series is, such as its shop and its article, int `[series, kinds]`, from
        0.
      kinds: by the name of each kind the labels that the categories number, where they have any,
        see `labelled`.
      weekdays: the days of the week that the series have, from Monday on, such as "1111100"; None
        for all. Their step is a day.
      columns: of the table that the series were read from; None for none.

    Raises:
      ValueError: there is no series, one has no value or is not `[time]`, or a covariate is too
        short (which series).
    """

    values: Sequence[np.ndarray]
    names: Sequence[str] = ()
    step: np.timedelta64 | None = None
    starts: Sequence[np.datetime64] | np.ndarray = ()
    known: Sequence[np.ndarray] = ()
    past: Sequence[np.ndarray] = ()
    categories: Any = None
    kinds: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    weekdays: str | None = None
    columns: Columns | None = None

    def __post_init__(self):
        if not len(self.values):
            raise ValueError("the panel has no series; give at least one")
        series = tuple(np.asarray(values, np.float64) for values in self.values)
        names = tuple(self.names) or tuple(str(place) for place in range(len(series)))
        categories = (
            np.zeros((len(series), 0), np.int32) if self.categories is None else self.categories
        )
        settle = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        settle("values", series)
        settle("names", names)
        settle("categories", np.asarray(categories, np.int32))
        for name in ("known", "past"):
            settle(name, tuple(np.asarray(columns, np.float32) for columns in getattr(self, name)))
        self._check()

    def _check(self) -> None:
        for name in ("names", "categories"):
            if len(getattr(self, name)) != len(self):
                raise ValueError(
                    f"the panel has {len(self)} series but {len(getattr(self, name))} {name}"
                )
        for name in ("starts", "known", "past"):
            if len(getattr(self, name)) not in (0, len(self)):
                raise ValueError(
                    f"the panel has {len(self)} series but {len(getattr(self, name))} {name}"
                )
        for name, values in zip(self.names, self.values, strict=True):
            if values.ndim != 1 or not np.isfinite(values).any():
                what = f"has shape {values.shape}" if values.ndim != 1 else "has no value"
                raise ValueError(
                    f"the series {name!r} {what}; give [time], with NaN where a value is missing"
                )
            if np.isinf(values).any():
                raise ValueError(
                    f"the series {name!r} is infinite at step {np.flatnonzero(np.isinf(values))[0]}"
                )
        for kind in ("known", "past"):
            for name, values, columns in zip(
                self.names, self.values, getattr(self, kind), strict=False
            ):
                if columns.ndim != 2 or len(columns) < len(values):
                    wanted = f"give [time, columns], at least {len(values)} steps"
                    raise ValueError(
                        f"{kind} covariates of the series {name!r} have shape {columns.shape}; {wanted}"
                    )
                if not np.isfinite(columns).all():
                    row, column = np.argwhere(~np.isfinite(columns))[0]
                    raise ValueError(
                        f"{kind} covariate {column} of the series {name!r} is missing at step {row}"
                    )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> np.ndarray:
        """Values of each series, `[series]`."""
        return np.array([len(values) for values in self.values])

    def bare(self) -> "Panel":
        """Leaves the values alone: for who looks at nothing else, and so wants nothing else."""
        return dataclasses.replace(self, known=(), past=())

    def until(self, steps_before_end: int) -> "Panel":
        """Takes the panel back so many steps: what was known beforehand stays, the rest has not happened yet.

        Raises:
          ValueError: nothing would be left of a series (which).
        """
        if steps_before_end == 0:
            return self
        short = [
            name for name, n in zip(self.names, self.lengths, strict=True) if n <= steps_before_end
        ]
        if short:
            length = self.lengths[self.names.index(short[0])]
            raise ValueError(
                f"the series {short[0]!r} has {length} values; there is nothing {steps_before_end} before"
            )
        ends = self.lengths - steps_before_end
        return dataclasses.replace(
            self,
            values=[values[:end] for values, end in zip(self.values, ends, strict=True)],
            past=[columns[:end] for columns, end in zip(self.past, ends, strict=False)],
        )

    def standardised(self, units: Units) -> "Panel":
        """Subtracts `loc` from each value, and divides by `scale`."""
        if units == PLAIN:
            return self
        locs, scales = (np.broadcast_to(part, len(self)) for part in units)
        values = [
            (values - loc) / scale
            for values, loc, scale in zip(self.values, locs, scales, strict=True)
        ]
        return dataclasses.replace(self, values=values)

    def own_units(self) -> Units:
        """Measures the mean and the standard deviation of each series; 1 of one that never changes."""
        locs = tuple(float(np.nanmean(values)) for values in self.values)
        return locs, tuple(_deviation(values) for values in self.values)

    def labelled(self, kind: str, labels: Sequence[str]) -> "Panel":
        """Adds a kind of category: a label of each series, numbered as they first come."""
        known = tuple(dict.fromkeys(labels))
        numbers = [[known.index(label)] for label in labels]
        categories = np.concatenate([self.categories, np.array(numbers, np.int32)], axis=1)
        return dataclasses.replace(self, categories=categories, kinds={**self.kinds, kind: known})

    def numbered(self, kinds: Mapping[str, Sequence[str]]) -> "Panel":
        """Numbers the labels as another panel does, which has these `kinds`.

        Raises:
          ValueError: the other has no such label (which, of which series), or other kinds.
        """
        names = ", ".join(kinds) or "none"
        if tuple(kinds) != tuple(self.kinds):
            raise ValueError(
                f"the series are told apart by {', '.join(self.kinds)}; those learnt by {names}"
            )
        categories = self.categories.copy()
        # Labelled kinds come after those that are numbers alone.
        first = categories.shape[1] - len(kinds)
        for place, (kind, own) in enumerate(self.kinds.items(), start=first):
            labels = np.asarray(own)[self.categories[:, place]].tolist()
            categories[:, place] = _numbers_of(kind, labels, kinds[kind], self.names)
        known = {kind: tuple(labels) for kind, labels in kinds.items()}
        return dataclasses.replace(self, categories=categories, kinds=known)

    def last(self, steps: int) -> np.ndarray:
        """Stacks the last values of every series, `[series, steps]`."""
        return np.stack([values[len(values) - steps :] for values in self.values])

    def times(self, series: int, steps: int) -> np.ndarray:
        """Lists the first `steps` times of a series, beyond its end too; numbers where no time is known."""
        if self.step is None or not len(self.starts):
            return np.arange(steps)
        unit = np.datetime_data(self.step.dtype)[0]
        if unit == "generic":
            return int(self.starts[series]) + int(self.step.astype(int)) * np.arange(steps)
        start = np.asarray(self.starts[series]).astype(f"datetime64[{unit}]")
        if self.weekdays is not None:
            return np.busday_offset(
                start.astype("datetime64[D]"), np.arange(steps), weekmask=self.weekdays
            )
        return start + self.step * np.arange(steps)

    def on_weekdays(self, weekdays: str) -> "Panel":
        """Takes a day of these days of the week as step, where all days are among them."""
        if (
            not self.has_calendar
            or self.weekdays is not None
            or self.step != np.timedelta64(1, "D")
        ):
            return self
        days = [
            self.times(place, len(values)).astype("datetime64[D]")
            for place, values in enumerate(self.values)
        ]
        if not np.is_busday(np.concatenate(days), weekmask=weekdays).all():
            return self
        starts = np.asarray(self.starts).astype("datetime64[D]")
        return dataclasses.replace(
            self, step=np.timedelta64(1, "D"), starts=starts, weekdays=weekdays
        )

    @property
    def has_calendar(self) -> bool:
        """Whether it is known when each value was."""
        return (
            self.step is not None
            and len(self.starts) > 0
            and np.datetime_data(self.step.dtype)[0] != "generic"
        )

    @property
    def season(self) -> int:
        """Steps of the shortest season that the step has; 1 without one."""
        return 1 if self.step is None else seasons(self.step, self.weekdays)[0]

    def lags(self, most: int | None = None) -> tuple[int, ...]:
        """Lists the lags at which the series are likely to repeat themselves, see `seqjax.forecasting.lags`."""
        return (1,) if self.step is None else lags(self.step, most, self.weekdays)

    def features(self, future: int | np.ndarray) -> list[np.ndarray]:
        """Collects what is known beforehand of every step and `future` more: the calendar, then the known covariates.

        Args:
          future: for all series, or for each of them `[series]`.

        Returns:
          float32 `[time + future, features]` for each series.

        Raises:
          ValueError: a known covariate ends too early (of which series).
        """
        found = []
        for place, (values, more) in enumerate(
            zip(self.values, np.broadcast_to(future, len(self)), strict=True)
        ):
            steps = len(values) + int(more)
            parts = [np.zeros((steps, 0), np.float32)]
            if self.has_calendar:
                parts.append(calendar_features(self.times(place, steps)))
            if len(self.known):
                if len(self.known[place]) < steps:
                    given = f"known covariates of the series {self.names[place]!r} have {len(self.known[place])} steps"
                    raise ValueError(
                        f"{given}; its {len(values)} values and {more} to forecast want {steps}"
                    )
                parts.append(self.known[place][:steps])
            found.append(np.concatenate(parts, axis=1))
        return found

    def fingerprint(self) -> str:
        """Computes the sha256 of everything: equal for equal contents."""
        kinds = {kind: list(labels) for kind, labels in self.kinds.items()}
        said = (self.names, self.step, [str(start) for start in self.starts], kinds)
        digest = hashlib.sha256(
            repr(said if self.weekdays is None else (*said, self.weekdays)).encode()
        )
        for arrays in (self.values, self.known, self.past, [self.categories]):
            digest.update(f"{len(arrays)}:".encode())
            for array in arrays:
                digest.update(
                    f"{array.dtype.str}{array.shape}:".encode()
                    + np.ascontiguousarray(array).tobytes()
                )
        return digest.hexdigest()


def _deviation(values: np.ndarray) -> float:
    """Returns the standard deviation of a series, 1 of one that never changes."""
    # Not where it is 0: that of a constant such as 0.1 is what its mean is rounded by.
    if np.nanmin(values) == np.nanmax(values):
        return 1.0
    return float(np.nanstd(values))


def _numbers_of(
    kind: str, labels: Sequence[str], known: Sequence[str], names: Sequence[str]
) -> list[int]:
    """Numbers the label of each series by its place among those known."""
    places = {label: place for place, label in enumerate(known)}
    for name, label in zip(names, labels, strict=True):
        if label not in places:
            few = ", ".join(known[:5])
            if len(known) > 5:
                few += ", ..."
            raise ValueError(
                f"the series {name!r} is of {kind} {label!r}, which was not learnt; known are {few}"
            )
    return [places[label] for label in labels]
