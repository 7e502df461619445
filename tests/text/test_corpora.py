"""Running texts in two parts."""

import pytest

from seqjax import text


def test_the_last_tenth_of_a_file_validates(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(map(chr, range(65, 90))))
    train, validation, origin = text.read_corpus(path)
    assert (len(train), len(validation), origin) == (22, 3, str(path))
    assert train + validation == path.read_text()


def test_a_data_set_is_cut_at_the_same_place(tiny):
    corpus = text.load_corpus("tiny_shakespeare", tiny)
    whole = (tiny / "tiny_shakespeare" / "input.txt").read_text()
    assert corpus.train + corpus.validation == whole
    assert len(corpus.train) == int(0.9 * len(whole)) and corpus.origin


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; give a text to learn"),
        (b"a\0b" * 50, "binary"),
        (b"\xe9" * 50, "not UTF-8"),
        (b"too short", "9 characters; give at least 20"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.txt.*{message}"):
        text.read_corpus(tmp_path / "a.txt")
