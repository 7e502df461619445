"""`Form`: what a network learnt of the panels that it forecasts, beside their values."""

import dataclasses
from typing import NamedTuple

import numpy as np

from seqjax.forecasting.columns import Columns
from seqjax.forecasting.panel import Panel


class Form(NamedTuple):
    """Describes the panels that a network forecasts.

    Attributes:
      features: columns known beforehand, the calendar's among them.
      past: columns known only afterwards.
      kinds: how many categories each kind has.
      calendar: whether the times of the values were known.
      labels: the name of each labelled kind and its labels, in the order of their numbers.
      step: between two values, a count and NumPy's unit; None where it was not known.
      weekdays: the days of the week that the series have; None for all.
      columns: of the table that the panel was read from; None for none.
    """

    features: int
    past: int
    kinds: tuple[int, ...]
    calendar: bool = False
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    step: tuple[int, str] | None = None
    weekdays: str | None = None
    columns: Columns | None = None

    @classmethod
    def of(cls, panel: Panel) -> "Form":
        """Describes a panel."""
        past = 0
        if panel.past:
            past = panel.past[0].shape[1]
        return cls(
            features=panel.features(0)[0].shape[1],
            past=past,
            kinds=tuple(int(number) + 1 for number in panel.categories.max(0)),
            calendar=panel.has_calendar,
            labels=tuple((kind, tuple(labels)) for kind, labels in panel.kinds.items()),
            step=_written(panel.step),
            weekdays=panel.weekdays,
            columns=panel.columns,
        )

    def aligned(self, panel: Panel) -> Panel:
        """Gives a panel the days of the week and the numbers of labels that were learnt.

        Raises:
          ValueError: its step is another one, or a label was not learnt (which).
        """
        if self.weekdays is not None:
            panel = panel.on_weekdays(self.weekdays)
        self._check_step(panel)
        if panel.kinds:
            panel = panel.numbered(dict(self.labels))
        return panel

    def seen(self, panel: Panel) -> Panel:
        """Aligns a panel, and leaves out its calendar where none was learnt.

        Raises:
          ValueError: the panel is of another form (what differs).
        """
        panel = self.aligned(panel)
        if panel.has_calendar and not self.calendar:
            panel = dataclasses.replace(panel, starts=panel.starts[:0])
        self.check(panel)
        return panel

    def check(self, panel: Panel) -> None:
        """Refuses a panel with other features or categories.

        Raises:
          ValueError: says what differs.
        """
        other = Form.of(panel)
        own_sizes = (self.features, self.past, len(self.kinds))
        if own_sizes != (other.features, other.past, len(other.kinds)):
            raise ValueError(
                f"the forecaster learnt {self.features} known features, {self.past} past covariates and "
                f"{len(self.kinds)} kinds of categories; the panel has {other.features}, {other.past} and "
                f"{len(other.kinds)}: give panels of one form"
            )
        for kind, (here, known) in enumerate(zip(other.kinds, self.kinds, strict=True)):
            if here > known:
                row = int((panel.categories[:, kind] >= known).argmax())
                raise ValueError(
                    f"the series {panel.names[row]!r} is of category {panel.categories[row, kind]} "
                    f"(kind {kind}); the forecaster learnt 0 to {known - 1}"
                )

    def _check_step(self, panel: Panel) -> None:
        if self.step is None or panel.step is None:
            return
        learnt = np.timedelta64(*self.step)
        if not same_step(panel.step, learnt) or panel.weekdays != self.weekdays:
            raise ValueError(
                f"the panel has a step of {_in_words(panel.step, panel.weekdays)}; "
                f"the forecaster learnt one of {_in_words(learnt, self.weekdays)}"
            )


def same_step(a: np.timedelta64, b: np.timedelta64) -> bool:
    """Tells whether two steps are as long, whatever they are counted in.

    Months are as long as no number of days, and a step without a unit is like no other.

    Example:
      >>> same_step(np.timedelta64(1, "h"), np.timedelta64(3600, "s"))
      True
    """
    kinds = {_kind(a), _kind(b)}
    return len(kinds) == 1 and bool(a == b)


def _kind(step: np.timedelta64) -> str:
    match np.datetime_data(step.dtype)[0]:
        case "M" | "Y":
            return "months"
        case "generic":
            return "generic"
    return "seconds"


def _written(step: np.timedelta64 | None) -> tuple[int, str] | None:
    if step is None:
        return None
    return int(step.astype(int)), np.datetime_data(step.dtype)[0]


def _in_words(step: np.timedelta64, weekdays: str | None) -> str:
    if weekdays is None:
        return str(step)
    return f"{step} on {weekdays.count('1')} days of the week"
