"""Settings to JSON and back."""

import dataclasses
import json
from typing import NamedTuple

import numpy as np
import pytest

import seqjax
from seqjax import models
from seqjax.data import Vocabulary
from seqjax.files.settings import from_plain, register, to_plain
from tests.recurrences import RECURRENCES, each


def returned(value):
    return from_plain(json.loads(json.dumps(to_plain(value), allow_nan=False)))


@register
@dataclasses.dataclass(frozen=True)
class Own:
    size: int
    names: tuple[str, ...] = ()


class Point(NamedTuple):
    x: float
    y: float


register(Point)


@each(RECURRENCES)
def test_every_recurrence_comes_back_equal(recurrence):
    assert returned(recurrence) == recurrence


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        "é\n",
        [1, [2]],
        (1, (2, "a")),
        {"a": (1,), "class": 2},
        float("inf"),
        0.1,
        Own(3, ("a", "b")),
        Point(1.0, -float("inf")),
        Vocabulary.characters("to be", ("<pad>",)),
        models.SequenceClassifier(2, seqjax.GRU(3), pooling="attention"),
    ],
)
def test_values_come_back_equal_and_of_one_type(value):
    assert returned(value) == value and type(returned(value)) is type(value)


def test_numbers_of_numpy_and_arrays_come_back():
    assert returned(np.float32(0.5)) == 0.5 and returned(np.int64(3)) == 3
    assert np.isnan(returned(float("nan")))
    array = np.asarray([[0.1, 2]], np.float32)
    np.testing.assert_array_equal(returned(array), array)
    assert returned(array).dtype == np.float32


def test_what_cannot_be_written_is_named():
    with pytest.raises(TypeError, match="object .* cannot be written as settings"):
        to_plain({"a": object()})
    stranger = dataclasses.make_dataclass("Stranger", ["size"], frozen=True)
    with pytest.raises(TypeError, match="Stranger is no class of seqjax; register it"):
        to_plain(stranger(3))
    with pytest.raises(TypeError, match="int is no dataclass"):
        register(int)


@pytest.mark.parametrize(
    "plain, message",
    [
        ({"class": "os.system", "fields": {}}, "os.system is no class of seqjax"),
        ({"class": "seqjax.Nothing", "fields": {}}, "seqjax.Nothing is unknown to this version"),
        ({"class": "seqjax.unroll", "fields": {}}, "seqjax.unroll is no class"),
        (
            {"class": "seqjax.GRU", "fields": {"hidden_size": 3, "new": 1}},
            "no setting 'new' in this version",
        ),
        ({"class": "seqjax.GRU", "fields": {}}, "seqjax.GRU cannot be made of its settings"),
        ({"what": 1}, "is no value of theirs"),
    ],
)
def test_damaged_or_newer_settings_are_told_in_one_line(plain, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_plain(plain)
    assert "\n" not in str(caught.value)
