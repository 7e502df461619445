import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax.models import SequenceClassifier
from seqjax.models.pooling import ends

LENGTHS = np.array([6, 3, 1, 0])
POOLINGS = ("last", "mean", "max", "attention")

pytestmark = pytest.mark.usefixtures("quick_compile")


def make(pooling="last", recurrence=None, **options):
    recurrence = seqjax.bidirectional(seqjax.GRU(4)) if recurrence is None else recurrence
    return SequenceClassifier(3, recurrence, pooling=pooling, **options)


def make_for_tokens(pooling="last", **options):
    return make(pooling, vocab_size=9, embedding_size=5, **options)


@pytest.fixture
def features(getkey):
    return jax.random.normal(getkey(), (4, 6, 5))


@pytest.fixture
def tokens(getkey):
    return jax.random.randint(getkey(), (4, 6), 0, 9)


def final_outputs(recurrence, state):
    """The last outputs of every direction, read off the state and not off the outputs."""
    match recurrence:
        case seqjax.LSTM():
            return state.h
        case seqjax.GRU():
            return state
    if hasattr(recurrence, "layers"):
        return final_outputs(recurrence.layers[-1], state[-1])
    if hasattr(recurrence, "inner"):
        return final_outputs(recurrence.inner, state)
    halves = (
        final_outputs(recurrence.forward, state.forward),
        final_outputs(recurrence.backward, state.backward),
    )
    return jnp.concatenate(halves, axis=-1)


@pytest.mark.parametrize(
    "recurrence",
    [
        seqjax.LSTM(4),
        seqjax.stack(seqjax.LSTM(4), seqjax.GRU(3)),
        seqjax.bidirectional(seqjax.LSTM(4), seqjax.GRU(3)),
        seqjax.bidirectional(seqjax.stack(seqjax.GRU(4), seqjax.LSTM(3))),
        seqjax.stack(
            seqjax.bidirectional(seqjax.GRU(4)), seqjax.bidirectional(seqjax.LSTM(3)), dropout=0.5
        ),
        seqjax.stack(seqjax.bidirectional(seqjax.GRU(4)), seqjax.LSTM(3)),
        seqjax.dropout(seqjax.bidirectional(seqjax.LSTM(4)), 0.5),
    ],
    ids=repr,
)
def test_the_ends_are_what_the_states_say(getkey, features, recurrence):
    params = recurrence.init(getkey(), 5)
    state, ys = seqjax.unroll(recurrence, params, features, lengths=LENGTHS)
    np.testing.assert_allclose(
        ends(recurrence, ys, jnp.array(LENGTHS)), final_outputs(recurrence, state), rtol=1e-6
    )


def test_directions_that_are_summed_give_the_outputs_of_both_ends(getkey, features):
    recurrence = seqjax.bidirectional(seqjax.GRU(4), merge="sum")
    _, ys = seqjax.unroll(recurrence, recurrence.init(getkey(), 5), features, lengths=LENGTHS)
    found = ends(recurrence, ys, jnp.array(LENGTHS))
    np.testing.assert_array_equal(found[1], np.concatenate([ys[1, 2], ys[1, 0]]))
    assert (found[3] == 0).all()


def test_pooling_is_what_numpy_says(getkey, features):
    for pooling, function in (("mean", np.mean), ("max", np.max)):
        model = make(pooling)
        variables = model.init(getkey(), features)
        ys = np.asarray(model.apply(variables, features, lengths=LENGTHS, method="encode"))
        pooled = np.stack(
            [
                function(y[:n], axis=0) if n else np.zeros(8)
                for y, n in zip(ys, LENGTHS, strict=True)
            ]
        )
        head = variables["params"]["head"]
        logits = model.apply(variables, features, lengths=LENGTHS)
        np.testing.assert_allclose(logits, pooled @ head["kernel"] + head["bias"][None], atol=1e-5)


def test_attention_weighs_the_outputs(getkey, features):
    model = make("attention")
    variables = model.init(getkey(), features)
    logits, weights = model.apply(variables, features, lengths=LENGTHS, method="attend")
    np.testing.assert_array_equal(logits, model.apply(variables, features, lengths=LENGTHS))
    np.testing.assert_allclose(weights.sum(-1), [1, 1, 1, 0], atol=1e-6)
    assert (np.asarray(weights)[np.arange(6) >= LENGTHS[:, None]] == 0).all()
    ys, head = (
        model.apply(variables, features, lengths=LENGTHS, method="encode"),
        variables["params"]["head"],
    )
    pooled = np.einsum("bt,btf->bf", weights, ys)
    np.testing.assert_allclose(logits, pooled @ head["kernel"] + head["bias"][None], atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_may_hold_anything_and_length_zero_has_a_finite_gradient(getkey, features, pooling):
    model = make(pooling)
    params = model.init(getkey(), features)["params"]
    padding = (np.arange(6) >= LENGTHS[:, None])[..., None]

    def loss(params, xs):
        return (model.apply({"params": params}, xs, lengths=LENGTHS) ** 2).sum()

    clean = jax.value_and_grad(loss, argnums=(0, 1))(params, features)
    dirty = jax.value_and_grad(loss, argnums=(0, 1))(params, jnp.where(padding, jnp.nan, features))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dirty))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_lengths_give_the_classes_of_prefixes(getkey, tokens, pooling):
    model = make_for_tokens(pooling)
    variables = model.init(getkey(), tokens)
    for row, length in enumerate(LENGTHS[:3]):
        prefix = model.apply(variables, tokens[row : row + 1, :length])
        whole = model.apply(variables, tokens, lengths=LENGTHS)
        np.testing.assert_allclose(whole[row], prefix[0], atol=1e-6)


def test_a_causal_model_streams(getkey, tokens):
    model = make_for_tokens(recurrence=seqjax.LSTM(4))
    variables = model.init(getkey(), tokens)
    state = model.apply(variables, (4,), method="initial_state")
    for t in range(6):
        state, logits = model.apply(variables, state, tokens[:, t], method="step")
        lengths = jnp.full(4, t + 1)
        np.testing.assert_allclose(
            logits, model.apply(variables, tokens, lengths=lengths), atol=1e-6
        )


def test_dropout_is_on_with_a_key_alone(getkey, tokens):
    plain, dropped = make_for_tokens(), make_for_tokens(dropout=0.5)
    variables = plain.init(getkey(), tokens)
    np.testing.assert_array_equal(dropped.apply(variables, tokens), plain.apply(variables, tokens))
    one, other = (dropped.apply(variables, tokens, rngs={"dropout": getkey()}) for _ in range(2))
    assert (one != other).any()
    unread = make_for_tokens(word_dropout=0.999999, unknown=4)
    found = unread.apply(variables, tokens, rngs={"dropout": getkey()})
    np.testing.assert_allclose(found, plain.apply(variables, jnp.full_like(tokens, 4)), atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_learns_whether_a_token_occurs(getkey, pooling):
    tokens = jax.random.randint(getkey(), (64, 6), 0, 9)
    labels = (tokens == 3).any(-1).astype(int)
    model, optimiser = make_for_tokens(pooling), optax.adam(0.03)
    params = model.init(getkey(), tokens)["params"]

    @jax.jit
    def step(params, state):
        loss = lambda p: seqjax.losses.cross_entropy(model.apply({"params": p}, tokens), labels)  # noqa: E731
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state = optimiser.init(params)
    for _ in range(80):
        params, state, value = step(params, state)
    assert value < 0.1


def test_mistakes_are_named(getkey, tokens, features, unchecked):
    with pytest.raises(ValueError, match="pooling='first'"):
        make("first").init(getkey(), features)
    with pytest.raises(ValueError, match="give both for tokens"):
        make(vocab_size=9).init(getkey(), tokens)
    with pytest.raises(ValueError, match="at least one step"):
        make().init(getkey(), features[:, :0])
    model = make_for_tokens()
    variables = model.init(getkey(), tokens)
    with pytest.raises(ValueError, match="pooling='attention'"):
        model.apply(variables, tokens, method="attend")
    with pytest.raises(ValueError, match="reads the future"):
        model.apply(
            variables,
            model.apply(variables, (4,), method="initial_state"),
            tokens[:, 0],
            method="step",
        )
    model = make_for_tokens("mean", recurrence=seqjax.GRU(4))
    variables = model.init(getkey(), tokens)
    with pytest.raises(ValueError, match="the whole sequence"):
        model.apply(variables, jnp.zeros((4, 4)), tokens[:, 0], method="step")


def test_noise_is_added_to_features_in_training_alone(getkey):
    xs = jnp.zeros((64, 10, 8))
    model = SequenceClassifier(2, seqjax.GRU(3), noise=0.5)
    variables = model.init(getkey(), xs)
    bound = model.bind(variables, rngs={"dropout": getkey()})
    drawn = np.asarray(bound._features(xs))
    assert drawn.std() == pytest.approx(0.5, rel=0.05) and abs(drawn.mean()) < 0.03
    assert model.bind(variables)._features(xs) is xs
