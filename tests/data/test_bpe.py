import subprocess
import sys

import numpy as np
import pytest

from seqjax.data import BPE

pytest.importorskip("tokenizers")
CORPUS = ["the lower the newer", "the newest and the lowest", "übermäßig the"] * 20


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(CORPUS, vocab_size=280)


@pytest.mark.parametrize(
    "text", ["the lowest", "", "naïve 猫 \u2028 🙂", "  two  blanks ", "<pad> <eos>\n"]
)
def test_every_text_comes_back(bpe, text):
    ids = bpe.encode(text)
    assert ids.dtype == np.int32
    assert bpe.decode(ids) == text
    assert not np.isin(ids, [bpe.pad, bpe.unk, bpe.bos, bpe.eos]).any()
    np.testing.assert_array_equal(bpe.encode_all(["x", text])[1], ids)


def test_it_merges_what_is_frequent(bpe):
    assert len(bpe) == 280
    assert len(bpe.encode("the")) == 1
    assert len(bpe.encode("qqq")) == 3


def test_specials_come_first_and_vanish_in_decoding(bpe):
    assert (bpe.pad, bpe.unk, bpe.bos, bpe.eos) == (0, 1, 2, 3)
    assert bpe.decode([bpe.bos, *bpe.encode("the new"), bpe.eos, bpe.pad]) == "the new"


def test_save_and_load(bpe, tmp_path):
    bpe.save(tmp_path / "bpe.json")
    loaded = BPE.load(tmp_path / "bpe.json")
    assert loaded.fingerprint == bpe.fingerprint
    for text in ("the <pad> newest", "übermäßig"):
        np.testing.assert_array_equal(loaded.encode(text), bpe.encode(text))


def test_training_is_deterministic_across_processes(bpe, tmp_path):
    code = f"from seqjax.data import BPE; print(BPE.train({CORPUS!r}, vocab_size=280).fingerprint)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == bpe.fingerprint


def test_errors(bpe, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="vocab_size is 100; the bytes and specials alone are 260"):
        BPE.train(CORPUS, vocab_size=100)
    with pytest.raises(ValueError, match="id 280 is no token's"):
        bpe.decode([280])
    with pytest.raises(ValueError, match="has no <pad>"):
        _ = BPE.train(CORPUS, vocab_size=260, specials=()).pad
    (tmp_path / "bpe.json").write_text("{}")
    with pytest.raises(ValueError, match="no tokenizer .*; give a file that BPE.save wrote"):
        BPE.load(tmp_path / "bpe.json")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "seqjax\[experiments\]"'):
        BPE.train(CORPUS, vocab_size=300)
