"""`WordTagger`: from own lists of words to tags, saved and loaded."""

import json

import jax
import numpy as np
import pytest

import seqjax
from seqjax import text, training
from seqjax.files.settings import from_plain, to_plain
from seqjax.tasks import Trained
from seqjax.text.tagger import SPELLING
from tests.fresh import run_afresh

WORDS = [["Ann", "Lee", "saw", "Rome"], ["rain"]] * 4
TAGS = [["B-per", "I-per", "O", "B-loc"], ["O"]] * 4

pytestmark = pytest.mark.usefixtures("quick_compile")


def tagger_of(words=WORDS, tags=TAGS, **settings):
    settings = {"embedding_size": 4, "char_features": 4} | settings
    return text.WordTagger.of((words, tags), seqjax.bidirectional(seqjax.LSTM(4)), **settings)


@pytest.fixture(scope="module")
def trained():
    recipe = training.Recipe(steps=30, every=15, learning_rate=0.1, schedule="constant")
    return training.fit(tagger_of(), (WORDS, TAGS), recipe=recipe, quiet=True)


def test_own_sentences_are_learnt(trained):
    assert trained.predict(WORDS[:2]) == TAGS[:2]
    assert trained.predict(["Ann Lee saw Rome", ["rain"]]) == TAGS[:2]
    metrics = trained.evaluate((WORDS, TAGS))
    assert metrics["accuracy"] == metrics["span_f1"] == 1 and metrics["error"] == 0
    assert 0 < metrics["nats"] < 0.5


def test_a_fresh_process_gives_the_same_answers(trained, tmp_path):
    trained.save(tmp_path)
    assert from_plain(json.loads(json.dumps(to_plain(trained.task)))) == trained.task
    program = (
        "import json, seqjax\n"
        "print(json.dumps(seqjax.load(sys.argv[1]).predict(json.loads(sys.argv[2]))))\n"
    )
    sentences = [["Lee", "saw", "Ann"], ["Rome"], ["snow", "in", "Rome", "Lee", "Ann", "saw"]]
    found = run_afresh(program, tmp_path, json.dumps(sentences))
    assert found == trained.predict(sentences)


def test_the_report_writes_what_a_run_shows(trained, tmp_path):
    words, tags = [*WORDS[:2], ["Bonn"]], [*TAGS[:2], ["I-org"]]
    report = trained.report((words, tags), tmp_path)
    assert report.counts == {
        "sentences": 3,
        "words": 6,
        "unknown_words": 1,
        "words_of_unknown_tags": 1,
    }
    assert report.metrics["accuracy"] == pytest.approx(5 / 6)
    assert report.metrics["accuracy_unknown_words"] == 0
    lines = (tmp_path / "predictions.conll").read_text().splitlines()
    assert lines[:2] == ["Ann\tB-per\tB-per", "Lee\tI-per\tI-per"] and lines[4] == ""
    assert "per" in (tmp_path / "spans.txt").read_text()
    assert (tmp_path / "confusion.png").exists()


def test_ten_lengths_compile_few_shapes(trained):
    sentences = [["rain"] * length for length in range(1, 11)]
    before = type(trained.task)._search._cache_size()
    assert list(map(len, trained.predict(sentences))) == list(range(1, 11))
    assert type(trained.task)._search._cache_size() - before <= 3


def test_padding_and_neighbours_change_nothing(trained):
    together = trained.predict(WORDS)
    assert together == [trained.predict([sentence])[0] for sentence in WORDS]
    assert trained.predict([]) == [] and trained.predict([[]]) == [[]]


def test_the_scheme_is_kept_by_a_crf_alone():
    kept = tagger_of()
    sentences = [["saw", "Lee", "rain"] * 5]
    for seed in range(5):
        (tags,) = kept.predict(kept.init(jax.random.key(seed)), sentences)
        kept.check((sentences, [[*tags[:-1], "O"]]))
    free = tagger_of(crf=False, characters=False)
    assert free.constraints is None and free.model.char_vocab_size is None


def test_long_words_keep_both_ends():
    task = tagger_of([["A" + "n" * 50 + "e"]], [["O"]])
    (batch,) = task.batches(([["A" + "n" * 50 + "e"]], [["O"]]), once=True)
    assert batch["char_lengths"][0, 0] == SPELLING
    assert task.characters.decode(batch["characters"][0, 0, [0, -1]]) == ["A", "e"]


def test_the_loss_is_the_nats_a_word(trained):
    (batch,) = trained.task.batches((WORDS[:1], TAGS[:1]), once=True)
    loss, aux = trained.task.loss(trained.params, batch, jax.random.key(0), 0)
    nats = trained.evaluate((WORDS[:1], TAGS[:1]))["nats"]
    np.testing.assert_allclose(loss, nats, rtol=1e-5)
    assert aux.weight == 4


def test_bad_examples_are_told():
    with pytest.raises(ValueError, match="sentence 1 has 1 words and 2 tags; give one for each"):
        tagger_of([["a", "b"], ["c"]], [["X", "Y"], ["X", "Y"]])
    with pytest.raises(ValueError, match="2 sentences and the tags of 1"):
        tagger_of([["a"], ["c"]], [["X"]])
    with pytest.raises(ValueError, match="there is no word; give at least one sentence"):
        tagger_of([], [])
    with pytest.raises(ValueError, match="the examples, word 1: I-per at the start"):
        tagger_of().batches(([["Lee"]], [["I-per"]]))


def test_it_is_said_in_a_line(trained):
    assert repr(trained).count("\n") == 0 and "4 tags in BIO" in repr(trained)
    assert isinstance(trained, Trained)
