"""Settings with a help text and a range, for a command line to show and to check."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any


def option(
    default: Any,
    text: str,
    *,
    least: int | float | None = None,
    below: int | float | None = None,
    choices: Sequence[Any] | None = None,
    metavar: str | None = None,
    alone: Any = None,
) -> Any:
    """Makes a field of a dataclass of settings.

    Args:
      default: its value where none is given.
      text: its help.
      least: the smallest value.
      below: what the value must be less than.
      choices: the values there are.
      metavar: what the help calls its value, such as FILE.
      alone: what the option means where it is given without a value; None asks for one.
    """
    meta = {
        "help": text,
        "least": least,
        "below": below,
        "choices": choices,
        "metavar": metavar,
        "alone": alone,
    }
    return dataclasses.field(default=default, metadata=meta)


OWN = "of the corpus"
"""The value of a `test_option` that is given alone."""


def test_option() -> Any:
    """Makes the option `--test [FILE]` of an experiment whose corpus may have a test set of its own."""
    text = "file of the same form to score in the end; alone, the test set of the corpus"
    return option(None, text, metavar="FILE", alone=OWN)


def members_option() -> Any:
    """Makes the option `--members` of an experiment that may train several networks, see `Run.fit_seeds`."""
    text = "networks from several seeds, side by side; they answer together"
    return option(1, text, least=1)


def check_parts(config: Any) -> None:
    """Refuses settings `train`, `dev` and `test` that do not go together.

    Raises:
      ValueError: one of the first two is given alone, or they are given and `test` has no name.
    """
    if (config.train is None) != (config.dev is None):
        raise ValueError("--train and --dev go together; give both")
    if config.train is not None and config.test == OWN:
        raise ValueError("--test wants a name beside --train and --dev; give it")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of a call, each a field made by `option`.

    A subclass knows which of its settings were given, be it their default: `given` names them.
    """

    given = frozenset[str]()

    def __new__(cls, **settings: Any) -> "Options":
        """Notes what is given: once the fields are set, nothing tells a default from a value equal to it."""
        made = super().__new__(cls)
        object.__setattr__(made, "given", frozenset(settings))
        return made

    def preset(self) -> "Options":
        """Gives the settings where none is given; a subclass may have several sets of them."""
        return type(self)()

    def settled(self) -> "Options":
        """Lays what was given over the preset."""
        given = {name: getattr(self, name) for name in self.given}
        made = dataclasses.replace(self.preset(), **given)
        object.__setattr__(made, "given", self.given)
        return made

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
          ValueError: names the option, its value and its range.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                _check_value(flag(field.name), value, field.metadata)


def flag(name: str) -> str:
    """Spells a setting as an option of a command line."""
    return "--" + name.replace("_", "-")


def _check_value(name: str, value: Any, meta: Mapping[str, Any]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; give a finite number")
    if meta.get("least") is not None and not value >= meta["least"]:
        raise ValueError(f"{name} is {value}; give at least {meta['least']}")
    if meta.get("below") is not None and not value < meta["below"]:
        raise ValueError(f"{name} is {value}; give less than {meta['below']}")
    if meta.get("choices") is not None and value not in meta["choices"]:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(meta['choices'])}")
