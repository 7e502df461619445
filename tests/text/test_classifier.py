"""Texts to classes: learnt, explained, reported, saved, refused."""

import json

import jax
import numpy as np
import pytest

import seqjax
from seqjax import data, text, training
from seqjax.files.settings import from_plain, to_plain
from tests.fresh import run_afresh

GOOD = [f"A good film , number {n}" for n in range(12)]
BAD = [f"a <b>bad</b> film & didn't work {n}" for n in range(12)]
TEXTS, LABELS = GOOD + BAD, ["glad"] * 12 + ["sad<"] * 12

pytestmark = pytest.mark.usefixtures("quick_compile")


def make(**settings):
    chosen = {"min_count": 1, "embedding_size": 4} | settings
    return text.Classifier.of(TEXTS, LABELS, seqjax.bidirectional(seqjax.GRU(4)), **chosen)


@pytest.fixture(scope="module")
def trained():
    recipe = training.Recipe(
        epochs=8, every=20, batch_size=8, learning_rate=0.1, schedule="constant"
    )
    return training.fit(make(), (TEXTS, LABELS), recipe=recipe, quiet=True)


def test_it_learns_to_tell_texts_apart(trained):
    assert trained.evaluate((TEXTS, LABELS))["accuracy"] == 1
    assert trained.predict(["So GOOD !", "it didn't work"]) == ["glad", "sad<"]
    np.testing.assert_allclose(trained.probabilities(TEXTS[:3]).sum(1), 1, rtol=1e-5)


def test_an_answer_is_explained_word_by_word(trained):
    (found,) = trained.explain(["Unseen, GOOD"])
    assert found.words == ["unseen", ",", "good"] and found.known == [False, True, True]
    assert found.label == "glad"
    assert found.probability == pytest.approx(trained.probabilities(["Unseen, GOOD"])[0].max())
    assert found.weights.shape == (3,) and found.weights.sum() == pytest.approx(1, rel=1e-5)
    task = make(pooling="max")
    (found,) = task.explain(task.init(jax.random.key(0)), ["good"])
    assert found.weights is None and found.words == ["good"]


def test_every_text_is_in_one_batch_of_an_epoch():
    task = make(max_length=4)
    texts = ["film " * (number % 7 + 1) for number in range(23)]
    labels = [LABELS[number % 24] for number in range(23)]
    seen = {}
    for batch in task.batches((texts, labels), batch_size=5, once=True):
        for place in np.flatnonzero(batch["weight"]):
            index = int(batch["indices"][place])
            seen[index] = int(batch["lengths"][place])
            assert task.labels[batch["label"][place]] == labels[index]
        assert (batch["indices"][batch["weight"] == 0] == -1).all()
    assert seen == {number: min(number % 7 + 1, 4) for number in range(23)}


def test_rows_divide_among_devices():
    with pytest.raises(ValueError, match="batch_size is 9; give a multiple of 2"):
        make().batches((TEXTS, LABELS), batch_size=9, multiple_of=2)


def test_a_report_holds_predictions_and_where_the_model_looked(trained, tmp_path):
    report = trained.report((TEXTS[::3] + ["a good film"], LABELS[::3] + ["mad"]), tmp_path)
    assert report.counts == {"texts": 9, "right": 8, "of_unknown_labels": 1}
    assert report.metrics["accuracy"] == pytest.approx(8 / 9) and report.metrics["nats"] < 0.3
    lines = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert lines[0] == "label\tpredicted\tprobability\ttext" and len(lines) == 10
    assert lines[1].startswith("glad\tglad\t") and lines[1].endswith("\tA good film , number 0")
    assert lines[-1].startswith("mad\tglad\t")
    page = (tmp_path / "attention.html").read_text()
    assert "sad&lt;" in page and "&lt;" in page and "<b>bad" not in page
    assert "src=" not in page and "href=" not in page
    right, wrong = page.split("right, the surest")[1].split("wrong, the surest")
    assert right.count("<p>") == 8 and wrong.split("unsure")[0].count("<p>") == 1
    assert "in truth mad" in wrong and "in truth" not in right
    assert (tmp_path / "confusion.png").stat().st_size > 3000


def test_without_attention_there_is_no_page(tmp_path):
    task = make(pooling="mean")
    task.report(task.init(jax.random.key(0)), (TEXTS, LABELS), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "predictions.tsv"]


def test_attention_is_drawn_as_shades(trained, tmp_path):
    trained.draw_attention(["Unseen <i>, good"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "rgba(255,170,0,1.00)" in page and '<span class="unknown"' in page
    assert ">unseen<" in page and "&lt;" in page and "<i>" not in page


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_settings_and_weights_come_back_in_a_fresh_process(tmp_path, kind):
    vocab = data.BPE.train(TEXTS, 270) if kind == "bpe" else None
    task = make(vocab=vocab, dropout=0.5, word_dropout=0.2)
    assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
    model = seqjax.Trained(task, task.init(jax.random.key(0)))
    model.save(tmp_path / "model")
    program = (
        "import json, seqjax\n"
        "model = seqjax.load(sys.argv[1])\n"
        "print(json.dumps([model.predict(sys.argv[2:]), model.probabilities(sys.argv[2:]).tolist()]))\n"
    )
    words = tmp_path / "model", *TEXTS[10:14]
    labels, probabilities = run_afresh(program, *words, without=("matplotlib",))
    assert labels == model.predict(TEXTS[10:14])
    np.testing.assert_allclose(probabilities, model.probabilities(TEXTS[10:14]), atol=1e-5)


def test_ten_lengths_compile_at_most_three_times(trained):
    texts = ["good " * words for words in (1, 3, 7, 9, 14, 22, 31, 45, 60, 81)]
    count = text.Classifier._scores._cache_size()
    trained.predict(texts)
    assert text.Classifier._scores._cache_size() - count <= 3


def test_it_says_what_it_is(trained):
    assert repr(trained.task) == (
        "Classifier(Bidirectional(GRU(4), GRU(4)) to 2 classes: 'glad', 'sad<')"
    )
    assert repr(trained).count("\n") == 0
    with pytest.raises(TypeError, match="Classifier reads whole sequences and cannot stream"):
        trained.stream()


def test_words_are_dropped_as_the_unknown_word():
    specials = ("<pad>", "<bos>", "<unk>")
    vocab = data.Vocabulary.words([["good", "bad"]], specials=specials)
    assert make(vocab=vocab, word_dropout=0.1).model.unknown == 2
    bare = data.Vocabulary(("good", "bad"))
    assert make(vocab=bare).model.vocab_size == 2
    with pytest.raises(ValueError, match="the vocabulary has no <unk>"):
        make(vocab=bare, word_dropout=0.1)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", "b"], ["x"], "2 inputs and 1 labels"),
        (["a", "b"], ["x", "x"], "every example has the label 'x'"),
        (["a", " "], ["x", "y"], "text 1 is empty"),
        ("ab", ["x", "y"], "the texts are one string, 'ab'"),
    ],
)
def test_what_cannot_be_learnt_is_named(texts, labels, message):
    with pytest.raises(ValueError, match=message):
        text.Classifier.of(texts, labels, seqjax.GRU(2))


def test_one_string_is_no_list_of_texts(trained):
    with pytest.raises(ValueError, match="the texts are one string, 'good'"):
        trained.predict("good")
