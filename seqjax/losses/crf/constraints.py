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


class _Scheme(NamedTuple):
    """What the letters of a tagging scheme do.

    Attributes:
      letters: all of them; their sequence is the scheme's name in complaints.
      opens: letters behind which a span may go on.
      continues: letters that want an open span of their kind before them.
      must_go_on: an open span wants a continuation; False where it may end at any word.
    """

    letters: str
    opens: str
    continues: str
    must_go_on: bool = True


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
    return _constraints(tags, _Scheme("BIO", opens="BI", continues="I", must_go_on=False))


def bioes_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BIOES: `O`, `B-x`, `I-x`, `E-x`, `S-x`.

    After `B-x` or `I-x` comes `I-x` or `E-x`, and those come nowhere else. `tags` and what is
    raised are as in `bio_constraints`.
    """
    return _constraints(tags, _Scheme("BIOES", opens="BI", continues="IE"))


def bilou_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BILOU: `O`, `B-x`, `I-x`, `L-x`, `U-x`.

    That is BIOES with `L-x` for the last word of a span and `U-x` for a span of one word. `tags`
    and what is raised are as in `bio_constraints`.
    """
    return _constraints(tags, _Scheme("BILOU", opens="BI", continues="IL"))


def bmes_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BMES: BIOES with `M-x` for the middle of a span.

    The tags are `B-x`, `M-x`, `E-x`, `S-x`, or without a kind as for the words of Chinese, and
    `O`. What is raised is as in `bio_constraints`.

    Example:
      >>> bmes_constraints(["B", "M", "E", "S"]).transitions.astype(int).tolist()
      [[0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1]]
    """
    return _constraints(tags, _Scheme("BMESO", opens="BM", continues="ME"))


def bmewo_constraints(tags: Sequence[str]) -> Constraints:
    """Returns what may follow what in BMEWO: BMES with `W-x` for a span of one word.

    `tags` and what is raised are as in `bio_constraints`.
    """
    return _constraints(tags, _Scheme("BMEWO", opens="BM", continues="ME"))


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


def _constraints(tags: Sequence[str], scheme: _Scheme) -> Constraints:
    """Returns the constraints of a scheme on tags named in the order of their numbers."""
    # Letter and kind of each tag: ("B", "x"), ("O", "").
    parts = [_letter_and_kind(tag, scheme.letters) for tag in tags]
    opens = [letter in scheme.opens for letter, _ in parts]
    continues = [letter in scheme.continues for letter, _ in parts]

    def allowed(before: int, after: int) -> bool:
        if opens[before] and continues[after] and parts[before][1] == parts[after][1]:
            return True
        # Else no span goes on: none may be continued, and none be left that wants to be.
        return not (continues[after] or (scheme.must_go_on and opens[before]))

    # [tags, tags], from the row to the column, also where there are no tags.
    transitions = np.zeros((len(tags), len(tags)), bool)
    for before in range(len(tags)):
        transitions[before] = [allowed(before, after) for after in range(len(tags))]
    # Nothing is open before the first tag, and nothing may be left open after the last one.
    start = [not continued for continued in continues]
    end = [not (scheme.must_go_on and opened) for opened in opens]
    return Constraints(transitions, np.array(start, bool), np.array(end, bool))


def _letter_and_kind(tag: str, letters: str) -> tuple[str, str]:
    """Returns the two parts of a tag, and refuses one that is not of the scheme."""
    letter, _, kind = tag.partition("-")
    if len(letter) != 1 or letter not in letters or (letter == "O" and tag != "O"):
        named = {"O": "O"}
        wanted = ", ".join(named.get(each, f"{each}-kind") for each in letters)
        raise ValueError(f"tag {tag!r} is none of {letters}; wanted {wanted}")
    return letter, kind
