"""`IntentTagger`: from own requests to intents and slots, saved and loaded."""

import json

import jax
import numpy as np
import pytest

import seqjax
from seqjax import text, training
from seqjax.files.settings import from_plain, to_plain
from tests.datasets.data_files import write
from tests.fresh import run_afresh

WORDS = [["fly", "to", "New", "York"], ["stop"], ["Rome", "please"]] * 4
TAGS = [["O", "O", "B-city", "I-city"], ["O"], ["B-city", "O"]] * 4
INTENTS = ["flight", "halt", "flight"] * 4
TRAIN = WORDS, TAGS, INTENTS

pytestmark = pytest.mark.usefixtures("quick_compile")


def tagger_of(train=TRAIN, **settings):
    settings = {"embedding_size": 4, "char_features": 4} | settings
    return text.IntentTagger.of(train, seqjax.bidirectional(seqjax.LSTM(4)), **settings)


@pytest.fixture(scope="module")
def trained():
    recipe = training.Recipe(steps=40, learning_rate=0.1, schedule="constant")
    return training.fit(tagger_of(), TRAIN, recipe=recipe, quiet=True)


def test_own_requests_are_learnt(trained):
    first, second = trained.predict(["Fly to New York", ["stop"]])
    assert first == text.Understood("flight", TAGS[0], [("city", "New York")])
    assert second == text.Understood("halt", ["O"], [])
    metrics = trained.evaluate(TRAIN)
    assert metrics["intent_accuracy"] == metrics["span_f1"] == metrics["understood"] == 1
    assert metrics["error"] == 0 and 0 < metrics["nats"] < 0.5


def test_a_request_is_understood_where_everything_is_right(trained):
    words = [WORDS[0], WORDS[1], WORDS[2], ["stop"]]
    tags = [TAGS[0], ["B-city"], TAGS[2], ["O"]]
    metrics = trained.evaluate((words, tags, ["flight", "halt", "halt", "unheard"]))
    assert metrics["intent_accuracy"] == 0.5 and metrics["accuracy"] == 7 / 8
    assert metrics["understood"] == 0.25 and metrics["error"] == 0.75


def test_the_loss_is_the_nats_that_evaluation_counts(trained):
    part = WORDS[:1], TAGS[:1], INTENTS[:1]
    (batch,) = trained.task.batches(part, once=True)
    loss, aux = trained.task.loss(trained.params, batch, jax.random.key(0), 0)
    np.testing.assert_allclose(loss, trained.evaluate(part)["nats"], rtol=1e-4)
    assert aux.weight == 4
    outputs = trained.task._outputs(trained.params, batch, None)
    likely = jax.nn.log_softmax(outputs.intents[0])[trained.task.intents.index("flight")]
    tags, _ = trained.task._nats_of_tags(batch, trained.task._kept(outputs.scores))
    np.testing.assert_allclose(loss, tags - likely, rtol=1e-5)


def test_an_unknown_intent_has_no_likelihood(trained):
    known = trained.evaluate((WORDS[:1], TAGS[:1], ["flight"]))
    both = trained.evaluate((WORDS[:1] * 2, TAGS[:1] * 2, ["flight", "unheard"]))
    assert both["nats"] == pytest.approx(known["nats"]) and both["intent_accuracy"] == 0.5


def test_padding_and_neighbours_change_nothing(trained):
    together = trained.predict(WORDS[:3])
    assert together == [trained.predict([sentence])[0] for sentence in WORDS[:3]]
    assert trained.predict([]) == [] and trained.predict([[]])[0].tags == []


def test_a_fresh_process_gives_the_same_answers(trained, tmp_path):
    trained.save(tmp_path)
    assert from_plain(json.loads(json.dumps(to_plain(trained.task)))) == trained.task
    program = (
        "import json, seqjax\n"
        "print(json.dumps(seqjax.load(sys.argv[1]).predict(json.loads(sys.argv[2]))))\n"
    )
    found = run_afresh(program, tmp_path, json.dumps(WORDS[:3]))
    assert found == json.loads(json.dumps(trained.predict(WORDS[:3])))


def test_the_report_writes_what_a_run_shows(trained, tmp_path):
    report = trained.report((WORDS[:2], TAGS[:2], ["halt", "halt"]), tmp_path)
    assert report.counts == {"requests": 2, "words": 5}
    assert report.metrics["intent_accuracy"] == 0.5 and "error" not in report.metrics
    assert (tmp_path / "intents.tsv").read_text() == (
        "intent\tpredicted\trequest\nhalt\tflight\tfly to New York\nhalt\thalt\tstop\n"
    )
    assert (tmp_path / "predictions.conll").read_text().startswith("fly\tO\tO\nto\tO\tO\n")
    assert "city" in (tmp_path / "spans.txt").read_text()
    assert (tmp_path / "confusion.png").exists()


def test_bad_requests_are_told(unchecked):
    with pytest.raises(ValueError, match="12 requests and 1 intents; give one for each"):
        tagger_of((WORDS, TAGS, ["flight"]))
    with pytest.raises(ValueError, match="requests have no intents; give words, tags and intents"):
        tagger_of((WORDS, TAGS))
    task = tagger_of()
    with pytest.raises(ValueError, match="no intent occurs in training, such as 'unheard'"):
        task.batches((WORDS[:1], TAGS[:1], ["unheard"]))
    with pytest.raises(ValueError, match="word 1: I-city at the start"):
        task.batches(([["York"]], [["I-city"]], ["flight"]))


def test_requests_of_a_folder(tmp_path):
    write(tmp_path / "seq.in", "fly to  new york\nstop\n\n")
    write(tmp_path / "seq.out", "O O B-city I-city \nO \n")
    write(tmp_path / "label", "flight\nhalt\n")
    found = text.read_requests(tmp_path)
    assert found.tokens == [["fly", "to", "new", "york"], ["stop"]]
    assert found.tags == [["O", "O", "B-city", "I-city"], ["O"]]
    assert found.intents == ["flight", "halt"] and found.origin == str(tmp_path)
    write(tmp_path / "seq.out", "O O B-city\nO\n")
    with pytest.raises(ValueError, match="seq.out, line 1: 3 tags for the 4 words of .*seq.in"):
        text.read_requests(tmp_path)
    write(tmp_path / "label", "flight\n")
    with pytest.raises(ValueError, match="differ in their number of lines"):
        text.read_requests(tmp_path)
    for name in ("seq.in", "seq.out", "label"):
        write(tmp_path / name, "\n")
    with pytest.raises(ValueError, match="empty; give at least one request"):
        text.read_requests(tmp_path)


def test_it_is_said_in_a_line(trained):
    assert repr(trained.task) == (
        "IntentTagger(Bidirectional(LSTM(4), LSTM(4)), 11 words to 3 tags in BIO and 2 intents)"
    )
