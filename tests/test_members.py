"""Networks of several seeds as one: beside the members by themselves."""

import copy
import dataclasses
import pickle

import jax
import numpy as np
import pytest

import seqjax
from seqjax import text, training, vision
from seqjax.members import Members

RECIPE = training.Recipe(steps=2, batch_size=4, learning_rate=0.03, seed=5)
RNG = np.random.default_rng(0)
ROWS = [RNG.normal(size=(length, 2)).astype(np.float32) for length in (3, 5, 4, 6)]
LABELS = ["odd", "odd", "even", "even"]
TAGGED = (
    [["Rain", "falls"], ["in", "Rome"], ["Oslo"]],
    [["O", "O"], ["O", "B-city"], ["B-city"]],
)


def classifier(**settings):
    return seqjax.Classifier.of(ROWS, LABELS, seqjax.bidirectional(seqjax.GRU(4)), **settings)


@pytest.fixture(scope="module")
def together():
    return classifier(pooling="attention").fit_seeds((ROWS, LABELS), (5, 7), RECIPE, quiet=True)


def test_scores_are_the_mean_of_those_of_the_members(together):
    task = classifier(pooling="attention")
    apart = training.fit_seeds(task, (ROWS, LABELS), (5, 7), recipe=RECIPE, quiet=True)
    wanted = np.mean([trained.logits(ROWS) for trained in apart], axis=0)
    assert np.abs(wanted - apart[0].logits(ROWS)).max() > 1e-3
    np.testing.assert_allclose(together.logits(ROWS), wanted, atol=1e-6)
    weights = [trained.attention(ROWS)[1] for trained in apart]
    np.testing.assert_allclose(together.attention(ROWS)[1], np.mean(weights, 0), atol=1e-6)


def test_it_is_saved_and_read_back(together, tmp_path):
    together.save(tmp_path / "model")
    again = seqjax.load(tmp_path / "model", seqjax.Classifier)
    np.testing.assert_array_equal(again.logits(ROWS), together.logits(ROWS))
    assert again.task == together.task and repr(again) == repr(together)


def test_it_can_learn_on_with_dropout_of_each_member():
    task = classifier(dropout=0.5)
    task = dataclasses.replace(task, model=Members(task.model, 2))
    batch = next(task.batches((ROWS, LABELS)))
    params = task.init(jax.random.key(0))
    for leaf in jax.tree.leaves(params):
        assert leaf.shape[0] == 2
    twice = jax.tree.map(lambda leaf: np.stack([leaf[0]] * 2), params)
    one = jax.tree.map(lambda leaf: leaf[:1], twice)
    # The same member twice is itself, but for its dropout.
    alone = Members(task.model.module, 1)
    given = batch["inputs"]
    same = task.model.apply({"params": twice}, given), alone.apply({"params": one}, given)
    np.testing.assert_allclose(*same, atol=1e-6)
    key = {"dropout": jax.random.key(3)}
    first, second = (
        alone.apply({"params": one}, given, rngs={"dropout": k})
        for k in jax.random.split(key["dropout"])
    )
    assert np.abs(first - second).max() > 1e-3
    assert np.isfinite(task.loss(params, batch, jax.random.key(0), 0)[0])


def test_tags_and_intents_are_told_together():
    tagger = text.WordTagger.of(TAGGED, recurrence=seqjax.bidirectional(seqjax.LSTM(4)))
    both = dataclasses.replace(tagger, model=Members(tagger.model, 2))
    params = both.init(jax.random.key(0))
    assert [len(tags) for tags in both.predict(params, TAGGED[0])] == [2, 2, 1]
    batch = next(iter(tagger.batches(TAGGED, once=True)))
    members = [jax.tree.map(lambda leaf, i=i: leaf[i], params) for i in range(2)]
    scores = [tagger._scores(params, batch, None) for params in members]
    found = both._scores(params, batch, None)
    for part, *of_members in zip(found, *scores, strict=True):
        np.testing.assert_allclose(part, np.mean(of_members, axis=0), rtol=1e-5, atol=1e-5)
    asked = (*TAGGED, ["state", "place", "place"])
    intents = text.IntentTagger.of(asked, recurrence=seqjax.bidirectional(seqjax.LSTM(4)))
    intents = dataclasses.replace(intents, model=Members(intents.model, 2))
    (understood,) = intents.predict(intents.init(jax.random.key(0)), ["Rain in Oslo"])
    assert len(understood.tags) == 3


def test_images_are_told_together_but_not_streamed():
    images, labels = RNG.uniform(size=(4, 3, 3)), ["a", "b", "a", "b"]
    task = vision.RowClassifier.of(images, labels, seqjax.GRU(4))
    task = dataclasses.replace(task, model=Members(task.model, 2))
    params = task.init(jax.random.key(0))
    assert task.arrival(params, images).shape == (3, 4, 2)
    with pytest.raises(TypeError, match="stream each by itself"):
        task.stream(params)


def test_it_is_copied_compared_and_hashed():
    module = classifier().model
    members = Members(module, 3)
    for other in (copy.deepcopy(members), pickle.loads(pickle.dumps(members))):
        assert other == members and hash(other) == hash(members)
    assert members != Members(module, 2) and members.pooling == module.pooling
    with pytest.raises(AttributeError, match="colour"):
        members.colour  # noqa: B018
