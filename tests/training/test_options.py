"""Options: what was given lies over a preset, and tells what a command must say."""

import dataclasses

import pytest

from seqjax.training import Options, option
from seqjax.training.folders import changed_settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Car(Options):
    make: str = option("small", "of it", choices=("small", "large"))
    doors: int = option(2, "of it", least=1)
    seats: int = option(4, "in it", least=1)

    def preset(self):
        return {"small": Car(), "large": Car(doors=5, seats=7)}[self.make]


def test_what_is_given_lies_over_the_preset():
    car = Car(make="large", seats=4).settled()
    assert car == Car(make="large", doors=5, seats=4)
    assert car.given == {"make", "seats"}
    assert Car().settled() == Car()


def test_a_command_says_what_differs_from_the_preset():
    assert changed_settings(Car(make="large", seats=4).settled()) == ["--make large", "--seats 4"]
    assert changed_settings(Car(seats=5), leave=("seats",)) == []


def test_a_value_out_of_range_is_named():
    with pytest.raises(ValueError, match="--doors is 0; give at least 1"):
        Car(doors=0).check()
