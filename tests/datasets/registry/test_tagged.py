from seqjax.datasets import load
from tests.datasets.packages import need


def test_the_treebank_of_turkish():
    need("turkish_treebanks")
    counts = [
        len(load("turkish_treebank", split).records) for split in ("train", "validation", "test")
    ]
    assert sum(counts) == 2541 + 2310
    record = load("turkish_treebank", "train").records[0]
    assert record["tokens"][:2] == ["Burda", "da"] and record["upos"][:2] == ["PRON", "PRT"]
