"""Translators of several seeds that write together."""

import dataclasses

import jax
import numpy as np
import pytest

import seqjax
from seqjax import text, training
from seqjax.training.seeds import unstacked

WORDS = ["ab", "ba", "aab", "bab", "abb", "bba"]
SAID = [[letter.upper() for letter in word] for word in WORDS]
RECIPE = training.Recipe(steps=30, every=15, batch_size=60, learning_rate=0.03)

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module", params=["decoder", "ctc"])
def together(request):
    layer = seqjax.bidirectional(seqjax.GRU(6))
    task = text.Translator.of(
        WORDS,
        SAID,
        recurrence=layer,
        decoder=seqjax.GRU(6) if request.param == "decoder" else None,
        codecs=("characters", "symbols"),
        embedding_size=6,
        beam=30,
        buckets=1,
    )
    return task.fit_seeds((WORDS, SAID), (3, 5), RECIPE, quiet=True)


@pytest.fixture(scope="module")
def members(together):
    """Each member as a translator of its own."""
    task = dataclasses.replace(together.task, network=together.task.network.network)
    return [seqjax.Trained(task, params) for params in unstacked(together.params, 2)]


def likelihood(trained, word, sounds):
    """The probability of one pronunciation: of all its tokens, the stop token of a decoder among them."""
    network = trained.task.network
    tokens = len(network.target(np.zeros(9), np.arange(len(sounds))))
    return np.exp(-tokens * trained.nats(([word], [sounds])))


def token_shares(member, word, sounds):
    """The probability of each token of a decoder after the true ones."""
    task, network = member.task, member.task.network
    target = task.target.encode(sounds)
    read = np.append(network.first, target)[None]
    decoded = network.model.apply(
        {"params": member.params}, task.source.encode(word)[None], None, read
    )
    shares = np.asarray(jax.nn.softmax(decoded.logits[0]))
    return shares[np.arange(len(target) + 1), np.append(target, network.stop_token)]


def test_scores_and_nats_are_those_of_the_mean_probability(together, members):
    for word, sounds in zip(WORDS[:3], SAID[:3], strict=True):
        if isinstance(members[0].task.network, text.EncoderDecoder):
            mean = np.mean([token_shares(each, word, sounds) for each in members], axis=0).prod()
        else:
            mean = np.mean([likelihood(each, word, sounds) for each in members])
        assert likelihood(together, word, sounds) == pytest.approx(mean, rel=1e-3)
        found = {tuple(best.output): best for best in together.translations([word], n_best=9)[0]}
        assert found[tuple(sounds)].score == pytest.approx(np.log(mean), abs=1e-3)


def test_members_are_of_their_own_seeds(together, members):
    first, second = (likelihood(each, WORDS[2], SAID[2]) for each in members)
    assert abs(first - second) > 1e-3 and together.task.network.members == 2


def test_they_come_back_as_they_were(together, tmp_path):
    together.save(tmp_path)
    again = seqjax.load(tmp_path, text.Translator)
    assert again.task == together.task
    assert again.predict(WORDS[:2], beam=3) == together.predict(WORDS[:2], beam=3)


def test_they_learn_on_from_fresh_parameters(together):
    recipe = training.Recipe(steps=60, every=30, batch_size=60, learning_rate=0.03)
    again = training.fit(together.task, (WORDS, SAID), recipe=recipe, quiet=True)
    assert again.nats((WORDS, SAID)) < 0.3
