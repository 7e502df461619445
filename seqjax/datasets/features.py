"""Kinds of fields that a record has: plain data, which the TFDS builder translates."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Text:
    """A string."""


@dataclasses.dataclass(frozen=True)
class Words:
    """A list of strings, one for each token.

    Tags are text too: a vocabulary numbers them, as it numbers the words.
    """


@dataclasses.dataclass(frozen=True)
class Label:
    """A class by its number, int64.

    Attributes:
      names: of the classes, in the order of their numbers.
    """

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Image:
    """Pixels, uint8.

    Attributes:
      shape: height, width and channels.
    """

    shape: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Series:
    """A one-dimensional array of any length.

    Attributes:
      dtype: NumPy's name of its numbers.
    """

    dtype: str = "float64"


@dataclasses.dataclass(frozen=True)
class Channels:
    """Several values over time, `[time, channels]`, of any length.

    Attributes:
      count: of the channels.
      dtype: NumPy's name of their numbers.
    """

    count: int
    dtype: str = "float64"


Feature = Text | Words | Label | Image | Series | Channels
