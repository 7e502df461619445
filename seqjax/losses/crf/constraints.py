"""`Constraints` of the tagging schemes BIO, BIOES, BILOU, BMES and BMEWO: what may follow what."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from seqjax.losses.crf.chain import FORBIDDEN, Scores


class Constraints(NamedTuple):
    """Masks of what may follow what: True where allowed.

    Attributes:
      transitions: from a tag (row) to the next one (column), `[tags, tags]`.
      start: a sequence may begin with the tag, `[tags]`.
      end: a sequence may end with the tag, `[tags]`.
    """

    transitions: Bool[np.ndarray, "tags tags"]
    start: Bool[np.ndarray, "tags"]
    end: Bool[np.ndarray, "tags"]


def constrain(scores: Scores, constraints: Constraints) -> Scores:
    """Returns the chain with `FORBIDDEN` where the constraints do not allow an entry.

    Args:
      scores: of a chain.
      constraints: of a scheme, see `SCHEMES`, or masks of your own.

    Returns:
      `Scores`; forbidden entries pass no gradient.
    """

    def mask(allowed: ArrayLike, values: ArrayLike) -> Array:
        return jnp.where(jnp.asarray(allowed), jnp.asarray(values), FORBIDDEN)

    emissions, *chain = scores
    masked = [mask(allowed, values) for allowed, values in zip(constraints, chain, strict=True)]
    return Scores(emissions, *masked)


def bio_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BIO (IOB2): `I-x` comes after `B-x` or `I-x` alone.

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
    return _constraints(
        tags, "BIO", lambda prefix: prefix in "BI", lambda prefix: prefix == "I", must_go_on=False
    )


def bioes_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BIOES.

    After `B-x` or `I-x` comes `I-x` or `E-x`, and those come nowhere else.

    Args:
      tags: names in the order of their numbers: `O`, `B-x`, `I-x`, `E-x`, `S-x`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.
    """
    return _constraints(
        tags, "BIOES", lambda prefix: prefix in "BI", lambda prefix: prefix in "IE", must_go_on=True
    )


def bilou_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BILOU.

    That is BIOES with `L-x` for the last word of a span and `U-x` for a span of one word.

    Args:
      tags: names in the order of their numbers: `O`, `B-x`, `I-x`, `L-x`, `U-x`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.
    """
    return _constraints(
        tags, "BILOU", lambda prefix: prefix in "BI", lambda prefix: prefix in "IL", must_go_on=True
    )


def bmes_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BMES: BIOES with `M-x` for the middle of a span.

    Args:
      tags: names in the order of their numbers: `B-x`, `M-x`, `E-x`, `S-x`, or without a kind as
        for the words of Chinese, and `O`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.

    Example:
      >>> bmes_constraints(["B", "M", "E", "S"]).transitions.astype(int).tolist()
      [[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1]]
    """
    return _constraints(
        tags, "BMESO", lambda prefix: prefix in "BM", lambda prefix: prefix in "ME", must_go_on=True
    )


def bmewo_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BMEWO: BMES with `W-x` for a span of one word.

    Args:
      tags: names in the order of their numbers: `O`, `B-x`, `M-x`, `E-x`, `W-x`.

    Returns:
      `Constraints`.

    Raises:
      ValueError: a name is none of these.
    """
    return _constraints(
        tags, "BMEWO", lambda prefix: prefix in "BM", lambda prefix: prefix in "ME", must_go_on=True
    )


SCHEMES: dict[str, Callable[[Sequence[str]], Constraints]] = {
    "BIO": bio_constraints,
    "BIOES": bioes_constraints,
    "BILOU": bilou_constraints,
    "BMES": bmes_constraints,
    "BMEWO": bmewo_constraints,
}
"""Name of a scheme to what its tags allow."""

BIOES_OF = {
    "BIO": {},
    "BIOES": {},
    "BILOU": {"L": "E", "U": "S"},
    "BMES": {"M": "I"},
    "BMEWO": {"M": "I", "W": "S"},
}
"""Name of a scheme to its letters, where those of BIOES differ."""


def scheme_of(tags: Sequence[str]) -> str | None:
    """Returns the scheme whose letters all tags begin with, or None.

    None is for tags that are no spans, such as parts of speech.

    Args:
      tags: the different ones. They have kinds, as `B-x`; or they are the bare letters of a scheme
        that tells where a span begins and that it ends or goes on.

    Example:
      >>> scheme_of(["O", "B-x", "L-x", "U-x"]), scheme_of(["B", "M", "E", "S"])
      ('BILOU', 'BMES')
      >>> scheme_of(["NOUN", "VERB"]) is None
      True
    """
    # Without kinds any few words might be letters: they must tell a whole scheme.
    bare = not any("-" in tag for tag in tags)
    telling = ({"B", "E", "S"}, {"B", "L", "U"}, {"B", "I", "O"})
    if bare and not any(letters <= {*tags} for letters in telling):
        return None
    for scheme, constraints in SCHEMES.items():
        try:
            constraints(tags)
        except ValueError:
            continue
        return scheme
    return None


def in_bioes(tags: Sequence[str], scheme: str) -> list[str]:
    """Returns the tags of a scheme in the letters of BIOES, for scores that know no others.

    Args:
      tags: of one sentence.
      scheme: one of `SCHEMES`; BIO stays as it is.

    Example:
      >>> in_bioes(["U-x", "B-x", "L-x", "O"], "BILOU")
      ['S-x', 'B-x', 'E-x', 'O']
    """
    letters = BIOES_OF[scheme]
    return [letters.get(tag[:1], tag[:1]) + tag[1:] for tag in tags]


def _constraints(
    tags: Sequence[str],
    scheme: str,
    opens: Callable[[str], bool],
    continues: Callable[[str], bool],
    must_go_on: bool,
) -> Constraints:
    """Returns the constraints of a scheme, from what its letters do.

    Args:
      tags: names in the order of their numbers.
      scheme: its letters.
      opens: whether something may go on behind the letter.
      continues: whether the letter wants an open one of its kind before it.
      must_go_on: an open one wants a continuation.
    """
    # Letter and kind of each.
    parts: list[tuple[str, str]] = []
    for tag in tags:
        letter, _, kind = tag.partition("-")
        parts.append((letter, kind))
    for tag, (prefix, _) in zip(tags, parts, strict=True):
        if len(prefix) != 1 or prefix not in scheme or (prefix == "O" and tag != "O"):
            named = {"O": "O"}
            wanted = ", ".join(named.get(letter, f"{letter}-kind") for letter in scheme)
            raise ValueError(f"tag {tag!r} is none of {scheme}; wanted {wanted}")

    def allowed(before: tuple[str, str], after: tuple[str, str]) -> bool:
        goes_on = opens(before[0]) and continues(after[0]) and before[1] == after[1]
        return goes_on or not (continues(after[0]) or (must_go_on and opens(before[0])))

    # [tags, tags], from the row to the column, also where there are no tags.
    transitions = np.zeros((len(tags), len(tags)), bool)
    for row, before in enumerate(parts):
        transitions[row] = [allowed(before, after) for after in parts]
    return Constraints(
        transitions,
        np.array([not continues(prefix) for prefix, _ in parts], bool),
        np.array([not (must_go_on and opens(prefix)) for prefix, _ in parts], bool),
    )
