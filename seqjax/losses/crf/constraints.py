"""What may follow what: the tagging schemes BIO and BIOES."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from seqjax.losses.crf.chain import FORBIDDEN, Scores


class Constraints(NamedTuple):
    """What may follow what: True where allowed.

    Attributes:
      transitions: from a tag (row) to the next one (column), `[tags, tags]`.
      start: a sequence may begin with the tag, `[tags]`.
      end: a sequence may end with the tag, `[tags]`.
    """

    transitions: Bool[np.ndarray, "tags tags"]
    start: Bool[np.ndarray, "tags"]
    end: Bool[np.ndarray, "tags"]


def constrain(scores: Scores, constraints: Constraints) -> Scores:
    """The chain in which only what the constraints allow is possible: the rest scores `FORBIDDEN`.

    Args:
      scores: of a chain.
      constraints: from `bio_constraints`, `bioes_constraints`, or masks of your own.

    Returns:
      `Scores`; forbidden entries pass no gradient.
    """
    mask = lambda allowed, values: jnp.where(jnp.asarray(allowed), jnp.asarray(values), FORBIDDEN)  # noqa: E731
    emissions, *chain = scores
    return Scores(emissions, *(mask(allowed, values) for allowed, values in zip(constraints, chain, strict=True)))


def bio_constraints(tags: Sequence[str]) -> Constraints:
    """What may follow what in BIO (IOB2): `I-x` comes after `B-x` or `I-x` alone.

    Args:
      tags: names in the order of their numbers: `O`, `B-x`, `I-x`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.

    Example:
      >>> bio_constraints(["O", "B-x", "I-x"]).transitions.astype(int).tolist()
      [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    return _constraints(tags, "BIO", lambda prefix: prefix in "BI", lambda prefix: prefix == "I", must_go_on=False)


def bioes_constraints(tags: Sequence[str]) -> Constraints:
    """What may follow what in BIOES: after `B-x` or `I-x` comes `I-x` or `E-x`, and those come nowhere else.

    Args:
      tags: names in the order of their numbers: `O`, `B-x`, `I-x`, `E-x`, `S-x`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.
    """
    return _constraints(tags, "BIOES", lambda prefix: prefix in "BI", lambda prefix: prefix in "IE", must_go_on=True)


def _constraints(
    tags: Sequence[str], scheme: str, opens: Callable, continues: Callable, must_go_on: bool
) -> Constraints:
    """A tag that continues wants an open one of its kind before it; `must_go_on`: an open one wants a continuation."""
    parts = [tag.partition("-")[::2] for tag in tags]
    for tag, (prefix, _) in zip(tags, parts, strict=True):
        if len(prefix) != 1 or prefix not in scheme or (prefix == "O" and tag != "O"):
            wanted = ", ".join("O" if letter == "O" else f"{letter}-kind" for letter in scheme)
            raise ValueError(f"tag {tag!r} is none of {scheme}; wanted {wanted}")

    def allowed(before, after):
        goes_on = opens(before[0]) and continues(after[0]) and before[1] == after[1]
        return goes_on or not (continues(after[0]) or (must_go_on and opens(before[0])))

    return Constraints(
        np.array([[allowed(before, after) for after in parts] for before in parts], bool).reshape(len(tags), len(tags)),
        np.array([not continues(prefix) for prefix, _ in parts], bool),
        np.array([not (must_go_on and opens(prefix)) for prefix, _ in parts], bool),
    )
