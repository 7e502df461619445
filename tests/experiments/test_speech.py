"""Speech from the command line, on made-up words."""

import functools
import json

import numpy as np
import pytest
import soundfile

import seqjax
from experiments import speech
from seqjax import datasets
from seqjax import speech as room
from tests.datasets.data_files import write, write_wav
from tests.experiments.running import run_in_two, run_page

TINY = (
    *("--hidden-size", "12", "--layers", "1", "--bands", "16", "--stride", "3", "--most", "2"),
    *("--utterances", "400", "--dropout", "0", "--no-mask", "--batch-size", "12", "--beam", "4"),
    "--quiet",
)
LEARN = ("--steps", "200", "--every", "100", "--learning-rate", "0.02", "--average", "0.9")
LABELS = ("ab", "ox")

pytestmark = pytest.mark.usefixtures("quick_compile", "few_utterances")


@pytest.fixture
def few_utterances(monkeypatch):
    monkeypatch.setattr(speech, "SCORED", 40)
    monkeypatch.setattr(room.recogniser, "BUCKETS", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of two made-up words by two voices, indices 0 to 19."""
    root = tmp_path_factory.mktemp("recordings")
    clips = room.synthetic_words(list(LABELS), speakers=2, takes=20)
    for name, samples in zip(clips.names, clips.samples, strict=True):
        soundfile.write(root / f"{name}.wav", samples, 8000, subtype="PCM_16")
    return root


call = functools.partial(run_page, speech)


def test_words_are_learnt_scored_written_down_and_resumed(tmp_path, monkeypatch, capsys, folder):
    run = tmp_path / "run"
    own = "--recordings", folder, "--held-out", "voice1", "--out", run
    run_in_two(speech, monkeypatch, 100, *TINY, *LEARN, *own)
    result = json.loads((run / "result.json").read_text())
    scores, counts = result["scores"], result["counts"]
    assert result["split"] == "test" and scores["greedy_wer"] < 0.1
    assert scores["varied_greedy_wer"] < 0.3 and scores["held_out_greedy_ser"] <= 1
    assert counts["steps"] == 200
    assert counts["utterances"] == counts["held_out_utterances"] == speech.SCORED
    table = [line.split("\t") for line in (run / "decoders.tsv").read_text().splitlines()]
    decoders = ["greedy", "beam", "beam_with_language_model"]
    scored = [[part, name] for part in ("test", "varied", "held_out") for name in decoders]
    assert [row[:2] for row in table[1:]] == scored
    model = seqjax.load(run)
    weighed = model.task.language_model
    assert weighed.weight in (0.5, 1.0, 2.0) and weighed.bonus in (0.0, 1.0)
    assert room.LetterModel.read(run / "letters.arpa").arpa == weighed.arpa
    heard = [line.split("\t") for line in (run / "heard.tsv").read_text().splitlines()]
    assert sum(text == guess for text, guess in heard) > 0.9 * len(heard)
    for name in ("loss", "confusion", "alignment"):
        assert (run / f"{name}.png").stat().st_size > 1000
    assert (run / "index.html").is_file()

    capsys.readouterr()
    clips, _ = room.read_recordings(folder, None)
    pair = room.Utterance((clips.texts.index("ab"), clips.texts.index("ox")), (1600, 1600, 800))
    both, single = tmp_path / "both.flac", folder / "ox_voice0_3.wav"
    soundfile.write(both, pair.render(clips), 8000)
    assert call(monkeypatch, "transcribe", run, both, single) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{both}: ab ox" and lines[3] == f"{single}: ox"
    begin, _, word = lines[2].split()
    start = 0.4 + len(clips.samples[pair.clips[0]]) / 8000
    assert word == "ox" and float(begin) == pytest.approx(start, abs=0.15)
    assert model.predict([both, single]) == ["ab ox", "ox"]
    assert call(monkeypatch, "stream", run, both) == 2
    assert "make one of causal layers" in capsys.readouterr().err
    assert call(monkeypatch, "transcribe", run) == 2
    assert "FILE" in capsys.readouterr().err


def test_a_streaming_run_on_transcripts_prints_letters_as_they_come(
    tmp_path, monkeypatch, capsys, folder
):
    names = sorted(path.name for path in folder.iterdir())
    lines = [f"{folder / name}\t{name.split('_')[0]}" for name in names]
    table = write(tmp_path / "all.tsv", "\n".join(lines) + "\n")
    # A letter that training lacks is never written, and its word is wrong.
    strange = f"{folder / 'ab_voice0_0.wav'}\táb"
    test = write(tmp_path / "test.tsv", "\n".join([*lines, strange]) + "\n")
    run = tmp_path / "run"
    loud = [option for option in TINY if option != "--quiet"]
    files = "--train", table, "--test", test, "--streaming", "--out", run
    assert call(monkeypatch, *loud, *LEARN, *files) == 0
    assert "test: letters that no training transcript has are not written: 'á' (1)" in (
        capsys.readouterr().out
    )
    assert json.loads((run / "result.json").read_text())["scores"]["greedy_wer"] < 0.15
    sound = folder / "ab_voice0_0.wav"
    assert call(monkeypatch, "stream", run, sound, "--piece", "0.06", "--no-pace") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["ab"] and "ab, printed" in said[1]
    assert said[-1].startswith("delay of a letter: median")


def test_without_recordings_the_command_says_that_it_is_synthetic(tmp_path, monkeypatch, capsys):
    def unreachable(*_):
        raise datasets.DataUnavailable("fsdd is not to be had")

    monkeypatch.setattr(room, "load_digits", unreachable)
    assert call(monkeypatch, *TINY, "--steps", "1", "--every", "1", "--out", tmp_path / "run") == 0
    assert "SYNTHETIC" in capsys.readouterr().err
    assert "synthetic" in json.loads((tmp_path / "run/config.json").read_text())["data"]["origin"]


def spoil(folder, what):
    noise = np.random.default_rng(0).integers(-999, 999, 4000)
    for take in range(12):
        write_wav(folder / f"one_ann_{take}.wav", noise)
    path = folder / "one_ann_11.wav"
    match what:
        case "stereo":
            write_wav(path, noise, channels=2)
        case "rate":
            write_wav(path, noise, rate=4000)
        case "empty":
            write_wav(path, noise[:0])
        case "headless":
            path.write_bytes(path.read_bytes()[:30])
        case "cut":
            path.write_bytes(path.read_bytes()[:300])
        case "nan":
            soundfile.write(path, np.full(4000, np.nan), 8000, subtype="FLOAT")
        case "silent":
            write_wav(path, 0 * noise)
        case "short":
            write_wav(path, noise[:100])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("stereo", "2 channels"),
        ("rate", "4,000 samples a second"),
        ("empty", "no samples"),
        ("cut", "promises"),
        ("headless", "no audio file that can be read"),
        ("nan", "nan"),
        ("silent", "silent"),
    ],
)
def test_a_bad_recording_ends_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, what, message
):
    (tmp_path / "sounds").mkdir()
    spoil(tmp_path / "sounds", what)
    own = "--recordings", tmp_path / "sounds", "--out", tmp_path / "run"
    assert call(monkeypatch, *TINY, *own) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1
    assert "one_ann_11.wav: " in complaint and message in complaint
    assert not (tmp_path / "run").exists()


def test_bad_transcripts_end_with_code_2_before_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "sounds").mkdir()
    spoil(tmp_path / "sounds", "short")
    good = "".join(f"sounds/one_ann_{take}.wav\tone\n" for take in range(11))
    write(tmp_path / "good.tsv", good)

    def complaint(train, test="good.tsv", *options):
        files = "--train", tmp_path / train, "--test", tmp_path / test
        assert call(monkeypatch, *TINY, *files, *options, "--out", tmp_path / "run") == 2
        return capsys.readouterr().err

    write(tmp_path / "bad.tsv", good + "sounds/one_ann_11.wav\tone\n")
    assert "one_ann_11.wav: 0 steps of sound for 3 of 'one'" in complaint("good.tsv", "bad.tsv")
    write(tmp_path / "bad.tsv", "sounds/one_ann_1.wav\tone\n")
    assert "bad.tsv: 1 lines; give at least 10" in complaint("bad.tsv")
    assert "leave it out with --train" in complaint("good.tsv", "good.tsv", "--held-out", "ann")
    assert call(monkeypatch, *TINY, "--train", tmp_path / "good.tsv") == 2
    assert "--train and --test go together" in capsys.readouterr().err
    assert call(monkeypatch, *TINY, "--recordings", tmp_path / "sounds", "--held-out", "bob") == 2
    assert "no speaker is called 'bob'; they are ann" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
