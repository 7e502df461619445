"""Tagged sentences of any CoNLL kind, read and written."""

import pytest

from seqjax.text.tagged import annotate, from_iob1, read_tagged

CONLLU = """# text = Dogs won't
1\tDogs\tdog\tNOUN\tNNS\t_\t0\troot\t_\t_
2-3\twon't\t_\t_\t_\t_\t_\t_\t_\t_
2\two\twill\tAUX\tMD\t_\t1\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# text = Run
1\tRun\trun\tVERB\tVB\t_\t0\troot\t_\t_
"""


def test_files_are_read_and_written_in_their_own_format(tmp_path):
    path = tmp_path / "old.conll"
    path.write_text("EU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\nPeter NNP I-NP B-PER\n")
    part = read_tagged(str(path))
    assert part.tokens == [["EU", "rejects"], ["Peter"]] and part.tags == [
        ["B-ORG", "O"],
        ["B-PER"],
    ]
    assert part.place(2) == f"{path}, line 4"
    assert annotate(str(path), [["O", "O"], ["B-LOC"]]).splitlines()[::3] == [
        "EU NNP I-NP O",
        "Peter NNP I-NP B-LOC",
    ]


def test_a_treebank_is_known_by_its_columns(tmp_path):
    (tmp_path / "bank.conllu").write_text(CONLLU)
    (tmp_path / "bank.txt").write_text(CONLLU)
    part, other = (
        read_tagged(str(tmp_path / name), "xpos") for name in ("bank.conllu", "bank.txt")
    )
    assert (
        part.tokens == other.tokens == [["Dogs", "wo", "n't"], ["Run"]] and part.tags == other.tags
    )
    assert other.place(2) == f"{tmp_path / 'bank.txt'}, line 5"
    assert annotate(str(tmp_path / "bank.txt"), part.tags, "xpos") == CONLLU
    (tmp_path / "numbered.txt").write_text("1\tDogs\tNOUN\n2\trun\tVERB\n")
    with pytest.raises(
        ValueError,
        match="numbered.txt, line 1: the first column numbers the words; wanted words first",
    ):
        read_tagged(str(tmp_path / "numbered.txt"))


def test_marks_between_documents_stay_where_they_are(tmp_path):
    path = tmp_path / "old.conll"
    path.write_text(
        "-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\n\n-DOCSTART- -X- -X- O\n\nPeter NNP I-NP I-PER\n"
    )
    part = read_tagged(str(path))
    assert part.tokens == [["EU"], ["Peter"]] and part.place(1) == f"{path}, line 7"
    assert annotate(str(path), part.tags) == path.read_text().replace("I-ORG", "B-ORG").replace(
        "I-PER", "B-PER"
    )
    words = tmp_path / "words.conll"
    words.write_text("-DOCSTART-\n\nEU\n\nPeter\n")
    assert annotate(str(words), [["B-ORG"], ["O"]]) == "-DOCSTART-\n\nEU\tB-ORG\n\nPeter\tO\n"
    assert read_tagged(str(words), tagged=False).tokens == [["EU"], ["Peter"]]


def test_iob1_is_read_as_bio():
    found = from_iob1([["I-a", "I-a", "B-a", "O", "I-b"], ["I-a", "I-b"], ["O"]])
    assert found == [["B-a", "I-a", "B-a", "O", "B-b"], ["B-a", "B-b"], ["O"]]
    for other in ([["B-a", "I-a"], ["I-a"]], [["B-a", "I-a"]], [["NOUN"]], [["I-a", "NOUN"]]):
        assert from_iob1(other) == other
