"""The report of a recogniser: every decoder on every part, what was heard, pictures."""

import jax
import numpy as np
import pytest

import seqjax
from seqjax import speech
from seqjax.metrics import word_errors
from seqjax.tasks import Trained

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def model():
    clips = speech.synthetic_words(["ab", "ox"], speakers=1, takes=3)
    layer = seqjax.bidirectional(seqjax.GRU(4))
    task = speech.Recogniser.of(clips, recurrence=layer, bands=16, beam=4)
    return Trained(task, task.init(jax.random.key(0)))


def test_every_decoder_on_every_part(model, tmp_path):
    clips = speech.synthetic_words(["ab", "ox"], speakers=1, takes=2, seed=1)
    other = speech.synthetic_words(["ox"], speakers=1, takes=2, seed=2)
    report = model.report({"test": clips, "varied": other}, tmp_path)
    lines = [line.split("\t") for line in (tmp_path / "decoders.tsv").read_text().splitlines()]
    decoders = ["greedy", "beam", "beam_with_language_model"]
    assert [line[:2] for line in lines[1:]] == [
        [part, decoder] for part in ("test", "varied") for decoder in decoders
    ]
    assert report.counts == {
        "utterances": 4,
        "words": 4,
        "varied_utterances": 2,
        "varied_words": 2,
    }
    for name, part in (("", clips), ("varied_", other)):
        greedy = word_errors(part.texts, model.predict(part, beam=1))
        assert {key: report.metrics[f"{name}greedy_{key}"] for key in greedy} == greedy
        best = word_errors(part.texts, model.predict(part))
        assert report.metrics[f"{name}beam_with_language_model_wer"] == best["wer"]
    heard = [line.split("\t") for line in (tmp_path / "heard.tsv").read_text().splitlines()]
    assert heard == [list(pair) for pair in zip(clips.texts, model.predict(clips), strict=True)]
    assert speech.LetterModel.read(tmp_path / "letters.arpa").arpa == model.task.language_model.arpa
    for name in ("confusion", "alignment"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000


def test_examples_alone_without_a_language_model_and_room_for_their_text(tmp_path):
    task = speech.Recogniser.of(
        speech.synthetic_words(["ab"], 1, 1),
        recurrence=seqjax.bidirectional(seqjax.GRU(4)),
        bands=16,
        order=None,
        beam=2,
    )
    short = ([np.sin(np.arange(400))], ["ab" * 9])
    report = task.report(task.init(jax.random.key(0)), short, tmp_path)
    assert set(report.counts) == {"utterances", "words"} and report.metrics["greedy_ser"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "decoders.tsv",
        "heard.tsv",
        "confusion.png",
    }
