"""Letters: symbols, words, and the model of which letters follow which."""

import numpy as np
import pytest

from seqjax import speech
from seqjax.decoding import ctc
from seqjax.files.settings import from_plain, to_plain

CODEC = speech.LetterCodec.of(["no", "yes"])


def test_texts_become_symbols_and_texts_again():
    assert CODEC.vocabulary.tokens == (speech.BLANK, " ", "e", "n", "o", "s", "y")
    assert CODEC.decode(CODEC.encode("no yes")) == "no yes"
    assert CODEC.decode(np.array([1, 3, 1, 1, 4, 1])) == "n o"
    # Letters that it lacks are left out.
    assert CODEC.known("nóé") == "n" and CODEC.encode("nóé").tolist() == [3]
    assert CODEC.writes("nose") and not CODEC.writes("nóse")


def test_the_model_is_that_of_an_arpa_file(tmp_path):
    texts = ["no", "yes", "no no", "yes"]
    model = speech.LetterModel.of(texts, order=3, weight=2.0, bonus=1.0)
    assert from_plain(to_plain(model)) == model and "arpa" not in repr(model)
    model.write(tmp_path / "letters.arpa")
    assert speech.LetterModel.read(tmp_path / "letters.arpa", 2.0, 1.0) == model
    # Each different text counts once.
    assert speech.LetterModel.of(sorted(set(texts)), order=3).arpa == model.arpa
    wanted = ctc.from_symbols(ctc.read_arpa(tmp_path / "letters.arpa"), CODEC.vocabulary.tokens)
    found = model.automaton(CODEC)
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(left, right)
    assert model.automaton(CODEC) is found


def test_a_damaged_arpa_file_is_refused(tmp_path):
    (tmp_path / "letters.arpa").write_text("\\data\\\nngram 1=3\n")
    with pytest.raises(ValueError, match="letters.arpa: no whole ARPA file"):
        speech.LetterModel.read(tmp_path / "letters.arpa")
