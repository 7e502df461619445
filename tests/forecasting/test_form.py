"""What a network learnt of its panels: labels, steps and days of the week are found again, or refused."""

import dataclasses
import json

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.files.settings import from_plain, to_plain
from seqjax.forecasting import Columns, Form, Panel
from seqjax.forecasting.form import same_step
from tests.forecasting.panels import HOUR, rich, waves


def shops(*names, **options):
    return waves(series=len(names), **options).labelled("shop", names)


def days(start, count, **options):
    starts = np.array([start], "datetime64[D]")
    return Panel([np.arange(count) + 1.0], step=np.timedelta64(1, "D"), starts=starts, **options)


def test_a_form_is_written_as_settings():
    panel = dataclasses.replace(
        rich().labelled("name", "ab"), columns=Columns("sold", "day", known=("open",))
    )
    form = Form.of(panel)
    assert form[:4] == (7, 2, (3, 2), True)
    assert form.labels == (("name", ("a", "b")),) and form.step == (1, "h")
    assert from_plain(json.loads(json.dumps(to_plain(form)))) == form


def test_labels_have_the_numbers_that_were_learnt():
    form = Form.of(shops("north", "south", "east"))
    other = form.seen(shops("east", "north"))
    assert other.categories[:, 0].tolist() == [2, 0]
    assert form.seen(other).categories[:, 0].tolist() == [2, 0]
    with pytest.raises(
        ValueError, match="the series 'b' is of shop 'west', which was not learnt; known are north,"
    ):
        form.seen(shops("east", "west"))
    with pytest.raises(ValueError, match="told apart by town; those learnt by shop"):
        form.seen(waves(series=2).labelled("town", ["a", "b"]))


def test_labels_stand_after_categories_without_any():
    numbered = waves(series=2, categories=np.array([[3], [1]]))
    form = Form.of(numbered.labelled("shop", ["a", "b"]))
    found = form.seen(numbered.labelled("shop", ["b", "a"]))
    assert found.categories.tolist() == [[3, 1], [1, 0]]


def test_days_of_the_week_are_those_learnt():
    form = Form.of(days("2024-01-01", 20, weekdays="1111100"))
    # The first days tell of no weekend.
    assert form.seen(days("2024-01-01", 4)).weekdays == "1111100"
    with pytest.raises(
        ValueError,
        match="the panel has a step of 1 days; the forecaster learnt one of 1 days on 5 days of the week",
    ):
        form.seen(days("2024-01-01", 9))


def test_steps_are_as_long_whatever_they_are_counted_in():
    month = np.timedelta64(1, "M")
    assert same_step(HOUR, np.timedelta64(3600, "s"))
    assert not same_step(HOUR, np.timedelta64(61, "m"))
    assert same_step(month, np.timedelta64(1, "M"))
    assert not same_step(month, np.timedelta64(30, "D"))
    assert same_step(np.timedelta64(1, "Y"), np.timedelta64(12, "M"))
    assert not same_step(np.timedelta64(1), np.timedelta64(1, "s"))
    with pytest.raises(ValueError, match="a step of 30 minutes; the forecaster learnt one of 1 h"):
        Form.of(waves(step=HOUR)).seen(waves(step=np.timedelta64(30, "m")))


def test_a_calendar_that_was_not_learnt_is_not_looked_at():
    form = Form.of(waves(step=HOUR))
    dated = waves(step=HOUR, starts=np.array(["2024-01-01"] * 3, "datetime64[h]"))
    assert not form.seen(dated).has_calendar
    with pytest.raises(ValueError, match="learnt 6 known features, .*; the panel has 0, 0 and 0"):
        Form.of(dated).seen(waves(step=HOUR))


def test_a_vector_for_each_series_goes_by_its_name():
    forecaster = forecasting.Direct.of(waves(), context=6, horizon=2, identity=True)
    assert forecaster.form.labels == (("name", ("a", "b", "c")),)
    turned = waves()
    turned = dataclasses.replace(turned, values=turned.values[::-1], names=turned.names[::-1])
    assert forecaster.windows(turned).ends()["category"].tolist() == [[2], [1], [0]]
    with pytest.raises(ValueError, match="the series 'd' is of name 'd', which was not learnt"):
        forecaster.windows(waves(series=4))
