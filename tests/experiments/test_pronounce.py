"""Pronunciation from the command line, on a made-up dictionary."""

import itertools
import json
import sys

import pytest

from experiments import common, pronounce

TINY = (
    "--hidden-size",
    "16",
    "--embedding-size",
    "8",
    "--layers",
    "1",
    "--batch",
    "400",
    "--steps",
    "150",
    "--every",
    "75",
    "--average",
    "0.9",
    "--learning-rate",
    "0.02",
    "--dropout",
    "0",
    "--beam",
    "2",
    "--quiet",
)
WORDS = [
    "".join(letters) for length in (2, 3, 4) for letters in itertools.product("abc", repeat=length)
]

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(pronounce, "BUCKETS", 1)
    path = tmp_path / "words.tsv"
    path.write_text(
        "".join(f"{word}\t{' '.join(word.upper() + '1' for word in word)}\n" for word in WORDS)
    )
    return path


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pronounce", *map(str, words)])
    verbs = {
        "pronounce": common.Verb(pronounce.pronounce, pronounce.Pronounce, "say words", "WORD...")
    }
    try:
        common.launch(pronounce.Config, pronounce.main, pronounce.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize("model", ["attention", "ctc"])
def test_letters_are_learnt_scored_and_said(tmp_path, monkeypatch, capsys, table, model):
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--model", model, "--table", table, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["per"] < 0.25 and result["counts"]["steps"] == 150
    assert sum(result["counts"][f"{split}_words"] for split in pronounce.SHARES) == len(WORDS)
    assert all((run / f"{name}.png").exists() for name in ("loss", "attention"))
    evaluations = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(
        set(pronounce.MONITOR) <= set(line) for line in evaluations if line["kind"] == "evaluation"
    )
    capsys.readouterr()
    assert call(monkeypatch, "--pronounce", run, "ABC", "ca") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["ABC", "ca"]
    assert all(set(line.split("\t")[1].split()) <= {"A1", "B1", "C1"} for line in lines)
    assert call(monkeypatch, "--pronounce", run, "abz") == 2
    assert "the letter 'z' occurs in no training word" in capsys.readouterr().err


def test_rare_letters_and_sounds_of_held_out_words_are_counted(
    tmp_path, monkeypatch, capsys, table
):
    rare = [f"{word}é" for word in WORDS]
    splits = dict(zip(rare, pronounce.hash_splits(rare, pronounce.SHARES), strict=True))
    chosen = [
        next(word for word in rare if splits[word] == split) for split in ("validation", "test")
    ]
    with table.open("a") as file:
        file.writelines(f"{word}\tA1 E2\n" for word in chosen)
    loud = [option for option in TINY if option != "--quiet"]
    steps = ("--steps", "2", "--every", "1")
    assert call(monkeypatch, *loud, *steps, "--table", table, "--out", tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert f"test: 1 of 8 words have a letter that no training word has: 'é' ({chosen[1]})" in out
    assert f"have a sound that no training word has: 'E2' ({chosen[0]})" in out
    counts = json.loads((tmp_path / "run" / "result.json").read_text())["counts"]
    assert (
        counts["test_words_of_unknown_letters"] == counts["validation_words_of_unknown_sounds"] == 1
    )


@pytest.mark.parametrize(
    ("sounds", "stressed"),
    [
        (["HH", "AH0", "L", "OW1"], True),
        (["hh", "ah0", "l", "ow1"], True),
        (["9", "6", "2:", "a"], False),
        (["ma1", "ma2", "ma3"], False),
        (["ER2", "AO4", "MA1"], False),
        (["AA1", "S3"], False),
        (["AA", "S"], False),
    ],
)
def test_digits_are_stress_in_arpabet_alone(tmp_path, sounds, stressed):
    assert pronounce.is_arpabet(sounds) == stressed
    (tmp_path / "words.tsv").write_text("".join(f"{word}\t{' '.join(sounds)}\n" for word in WORDS))
    parts, _ = pronounce.read_dictionary(pronounce.Config(table=str(tmp_path / "words.tsv")))
    wanted = [sound.strip("012") for sound in sounds] if stressed else sounds
    assert parts["train"].sounds[0] == [wanted]
    kept, _ = pronounce.read_dictionary(
        pronounce.Config(table=str(tmp_path / "words.tsv"), stress=True)
    )
    assert kept["train"].sounds[0] == [sounds]


def test_a_word_with_more_sounds_than_frames_is_left_out_of_what_ctc_learns():
    part = pronounce.entries_of([("ab", list("ABABAB")), ("ab", list("ABABBA"))], stress=False)
    symbols = pronounce.Symbols.of(part)
    learns = [
        [model.target(*pair) is not None for pair in part.pairs()]
        for model in (kind(pronounce.Config(), symbols) for kind in pronounce.MODELS.values())
    ]
    assert learns == [[True, True], [True, False]]


def test_names_of_columns_are_no_word(tmp_path):
    (tmp_path / "words.tsv").write_text("word\tpronunciation\nab\tA B\n\n")
    assert pronounce.read_table(str(tmp_path / "words.tsv")) == [("ab", ["A", "B"])]


def test_a_word_counts_right_if_it_matches_any_pronunciation():
    part = pronounce.entries_of(
        [("a", ["AH0"]), ("a", ["EY1"]), ("a", ["EY2"]), ("be", ["B", "IY1"])], stress=False
    )
    assert part.words == ["a", "be"] and part.sounds == [[["AH"], ["EY"]], [["B", "IY"]]]
    symbols = pronounce.Symbols.of(part)

    def said(*sounds):
        return [pronounce.Written(symbols.sounds.encode(sounds), 0.0, True, None)]

    assert pronounce.score(part, [said("EY"), said("B", "AH")], symbols) == {
        "wer": 0.5,
        "per": pytest.approx(1 / 3),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab A B\n", "line 1"),
        ("ab\tA\ncd\t\n", "line 2"),
        ("", "leaves no word"),
        (
            "".join(f"{word}\t{'A B ' * 9}\n" for word in WORDS if len(word) < 4),
            "more sounds than frames",
        ),
    ],
)
def test_a_bad_table_ends_with_code_2(tmp_path, monkeypatch, capsys, table, text, message):
    table.write_text(text)
    assert call(monkeypatch, "--model", "ctc", "--table", table, "--out", tmp_path / "run") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "run").exists()
