"""Running texts in two parts."""

import pytest

from seqjax import text


def test_the_last_tenth_of_a_file_validates(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(map(chr, range(65, 90))))
    train, validation, origin, test = text.read_corpus(path)
    assert (len(train), len(validation), origin) == (22, 3, str(path))
    assert train + validation == path.read_text() and test is None


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


def test_a_file_for_each_part(tiny, tmp_path):
    paths = [tmp_path / name for name in ("train.txt", "dev.txt", "test.txt")]
    for path in paths:
        path.write_text(path.stem)
    assert text.read_parts(*paths) == ("train", "dev", str(paths[0]), "test")
    assert text.read_parts(*paths[:2]).test is None
    paths[2].write_text("")
    with pytest.raises(ValueError, match="test.txt: empty; give a text"):
        text.read_parts(*paths)
    corpus = text.load_corpus("penn", tiny, test=True)
    assert corpus.test == "no it was n't <unk>\ntest N\n"
    with pytest.raises(ValueError, match="tiny_shakespeare has no split 'test'"):
        text.load_corpus("tiny_shakespeare", tiny, test=True)
