"""Sets of tags: their schemes, their scores, what breaks them."""

import pytest

from seqjax.data import Vocabulary
from seqjax.text import tag_sets
from seqjax.text.tagged import TaggedSentences


@pytest.mark.parametrize(
    ("scheme", "tags", "guess"),
    [
        ("BILOU", ["B-x", "L-x", "U-y", "O"], ["B-x", "L-x", "O", "O"]),
        ("BMES", ["B-x", "E-x", "S-y", "O"], ["B-x", "E-x", "O", "O"]),
        ("BMES", ["B", "E", "S", "S"], ["B", "E", "B", "E"]),
        ("BMEWO", ["B-x", "E-x", "W-y", "O"], ["B-x", "E-x", "O", "O"]),
        ("BIOES", ["B", "E", "S", "O"], ["B", "E", "O", "O"]),
    ],
)
def test_spans_of_every_scheme_are_scored(scheme, tags, guess):
    assert tag_sets.score([tags], [tags], scheme)["span_f1"] == 1
    # Each span has one tag that begins it; the first span alone is right.
    begun = [sum(tag[0] in "BSUW" for tag in row) for row in (tags, guess)]
    assert tag_sets.score([tags], [guess], scheme)["span_f1"] == pytest.approx(2 / sum(begun))


def test_a_tag_that_spoils_the_scheme_is_said():
    vocabulary = Vocabulary.characters
    assert tag_sets.stray_tag(vocabulary({"O", "B-x", "I-x", "NOUN"})) == "NOUN"
    assert tag_sets.stray_tag(vocabulary({"NOUN", "VERB", "O"})) is None


def test_what_breaks_a_scheme_is_told_by_its_place():
    known = Vocabulary.characters({"B-x", "I-x", "O"})

    def check(*tags, scheme="BIO"):
        part = TaggedSentences([["w"] * len(tags)], [list(tags)], "here")
        tag_sets.check_tags(part, known, scheme)

    check("B-x", "I-x", "O")
    check("I-x", scheme=None)
    check("I-x", "NEW")
    with pytest.raises(ValueError, match="here, word 1: I-x at the start of a sentence is not BIO"):
        check("I-x")
    with pytest.raises(ValueError, match="here, word 3: I-x after O is not BIO"):
        check("B-x", "O", "I-x")
    with pytest.raises(ValueError, match="here, word 2: the word has no tag"):
        check("O", "_")
    with pytest.raises(ValueError, match="the tag 'NEW', and all others of the file"):
        check("NEW", "OTHER")
