import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax.losses import crf
from seqjax.models import IntentTagger, Tagger
from seqjax.models.tagger import Spelling

LENGTHS = np.array([4, 2, 0])

pytestmark = pytest.mark.usefixtures("quick_compile")


def make(**options):
    settings = {"char_vocab_size": 7, "char_embedding_size": 3, "char_features": 4} | options
    return Tagger(9, 5, seqjax.bidirectional(seqjax.GRU(6)), 8, **settings)


@pytest.fixture
def batch(getkey):
    words = jax.random.randint(getkey(), (3, 4), 0, 9)
    characters = jax.random.randint(getkey(), (3, 4, 5), 0, 7)
    return words, characters, jax.random.randint(getkey(), (3, 4), 0, 6)


@pytest.mark.parametrize(
    "reader", [None, seqjax.bidirectional(seqjax.GRU(3))], ids=["convolution", "recurrence"]
)
def test_padding_of_words_and_characters_is_ignored(getkey, batch, reader):
    words, characters, char_lengths = batch
    model = make(char_recurrence=reader)
    params = model.init(getkey(), words, characters)["params"]

    def loss(params, words, characters):
        scores = model.apply(
            {"params": params}, words, characters, lengths=LENGTHS, char_lengths=char_lengths
        )
        return crf.log_likelihood(jnp.zeros((3, 4), int), *scores, lengths=LENGTHS).sum()

    past_words = np.arange(4) >= LENGTHS[:, None]
    past_characters = past_words[..., None] | (np.arange(5) >= np.asarray(char_lengths)[..., None])
    clean = jax.value_and_grad(loss)(params, words, characters)
    dirty = jax.value_and_grad(loss)(
        params, jnp.where(past_words, 3, words), jnp.where(past_characters, 5, characters)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), clean, dirty)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dirty))


def test_the_spelling_is_a_convolution_with_the_maximum(getkey, batch):
    _, characters, char_lengths = batch
    model = Spelling(7, 3, 4)
    variables = model.init(getkey(), characters, char_lengths)
    found = model.apply(variables, characters, char_lengths)
    table = np.asarray(variables["params"]["characters"]["table"]["embedding"])
    layer = variables["params"]["convolution"]
    for row in range(3):
        for word in range(4):
            length = int(char_lengths[row, word])
            xs = [np.zeros(3), *table[characters[row, word, :length]], np.zeros(3)]
            windows = [
                np.concatenate(xs[i : i + 3]) @ layer["kernel"] + layer["bias"]
                for i in range(length)
            ]
            wanted = np.max(windows, axis=0) if length else np.zeros(4)
            np.testing.assert_allclose(found[row, word], wanted, atol=1e-6)


def test_without_crf_the_chain_has_no_memory_and_no_parameters(getkey, batch):
    words, characters, _ = batch
    with_crf, without = make(), make(crf=False)
    params = with_crf.init(getkey(), words, characters)["params"]
    assert params["transitions"].shape == (5, 5)
    bare = without.init(getkey(), words, characters)["params"]
    assert set(params) - set(bare) == {"transitions", "start", "end"}
    scores = without.apply({"params": bare}, words, characters)
    assert all((array == 0).all() for array in scores[1:])
    np.testing.assert_array_equal(crf.viterbi(*scores).tags, scores.emissions.argmax(-1))


def train(model, words, characters, tags, key, steps=100):
    params = model.init(key, words, characters)["params"]
    optimiser = optax.adam(0.03)

    @jax.jit
    def step(params, state):
        loss = lambda p: (  # noqa: E731
            -crf.log_likelihood(tags, *model.apply({"params": p}, words, characters)).mean()
        )
        updates, state = optimiser.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    found = crf.viterbi(*model.apply({"params": params}, words, characters)).tags
    return float((found == tags).mean())


def test_it_learns_tags_that_show_in_the_spelling_alone(getkey):
    words = jnp.ones((16, 4), int)
    characters = jax.random.randint(getkey(), (16, 4, 5), 0, 7)
    tags = characters[..., -1] % 5
    assert train(make(), words, characters, tags, getkey()) > 0.98
    assert train(make(char_vocab_size=None), words, None, tags, getkey()) < 0.7


def test_mistakes_are_named(getkey, batch):
    words, characters, _ = batch
    with pytest.raises(ValueError, match="characters: none"):
        make().init(getkey(), words)
    with pytest.raises(ValueError, match="characters: shape"):
        make().init(getkey(), words, characters[:, :2])
    with pytest.raises(ValueError, match="reads words alone"):
        make(char_vocab_size=None).init(getkey(), words, characters)


def test_an_intent_is_read_off_the_greatest_outputs(getkey, batch):
    words, characters, char_lengths = batch
    tagger = make()
    model = IntentTagger(9, 5, tagger.recurrence, 8, 7, 3, 4, num_intents=2)
    options = {"lengths": LENGTHS, "char_lengths": char_lengths}
    params = model.init(getkey(), words, characters)["params"]
    found = model.apply({"params": params}, words, characters, **options)
    layer = params.pop("intents")
    scores = tagger.apply({"params": params}, words, characters, **options)
    jax.tree.map(np.testing.assert_array_equal, found.scores, scores)
    # The outputs again, from the emissions' inputs: the tagger without a chain, its layer the identity.
    wide = Tagger(9, 12, tagger.recurrence, 8, 7, 3, 4, crf=False)
    same = {"emissions": {"kernel": np.eye(12, dtype=np.float32), "bias": np.zeros(12, np.float32)}}
    kept = {name: params[name] for name in ("words", "spelling", "recurrent")}
    ys = wide.apply({"params": kept | same}, words, characters, **options).emissions
    for row, length in enumerate(LENGTHS):
        highest = np.asarray(ys[row, :length]).max(0) if length else np.zeros(12)
        wanted = highest @ layer["kernel"] + layer["bias"]
        np.testing.assert_allclose(found.intents[row], wanted, atol=1e-6)
