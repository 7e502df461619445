"""The language model: its parts, streaming, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.nnx import bridge

import seqjax
from seqjax.models import LanguageModel

pytestmark = pytest.mark.usefixtures("quick_compile")

STACK = seqjax.stack(seqjax.LSTM(8), seqjax.GRU(6), dropout=0.5)


@functools.cache
def fresh_params(model):
    """Made once for each model: drawing orthogonal matrices compiles for a second."""
    return model.init(jax.random.key(7), jnp.zeros((1, 1), int))["params"]


def tokens_of(key, shape=(3, 7), vocab=11):
    return jax.random.randint(key, shape, 0, vocab)


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def test_it_is_embedding_recurrence_and_projection(getkey):
    model, tokens = LanguageModel(11, 5, STACK), tokens_of(getkey())
    params = fresh_params(model)
    assert params.keys() == {"embed", "recurrent", "head"}
    assert jax.tree.map(jnp.shape, params["recurrent"]) == jax.tree.map(
        jnp.shape, jax.eval_shape(lambda: STACK.init(getkey(), 5))
    )
    state, ys = seqjax.unroll(STACK, params["recurrent"], params["embed"]["embedding"][tokens])
    logits = ys @ params["head"]["kernel"] + params["head"]["bias"][None, None]
    assert_close(model.apply({"params": params}, tokens), (state, logits))
    assert logits.shape == (3, 7, 11)


def test_tied_embeddings_project_with_the_transposed_table(getkey):
    model, tokens = LanguageModel(11, 6, STACK, tied=True), tokens_of(getkey())
    params = fresh_params(model)
    assert params.keys() == {"embed", "recurrent", "bias"}
    params = params | {"bias": jax.random.normal(getkey(), (11,))}
    table = params["embed"]["embedding"]
    state, ys = seqjax.unroll(STACK, params["recurrent"], table[tokens])
    logits = ys @ table.T + params["bias"][None, None]
    assert_close(model.apply({"params": params}, tokens), (state, logits))


def test_lengths_reset_and_state_reach_the_recurrence(getkey):
    model, tokens = LanguageModel(11, 5, STACK), tokens_of(getkey())
    variables = {"params": fresh_params(model)}
    state, logits = model.apply(variables, tokens)
    middle, first = model.apply(variables, tokens[:, :4])
    last, second = model.apply(variables, tokens[:, 4:], middle)
    assert_close((last, jnp.concatenate([first, second], axis=1)), (state, logits))

    cut, _ = model.apply(variables, tokens, lengths=jnp.array([4, 4, 4]))
    assert_close(cut, middle)
    fresh, restarted = model.apply(variables, tokens[:, 4:])
    reset = jnp.zeros((3, 7), bool).at[:, 4].set(True)
    ended, whole = model.apply(variables, tokens, reset=reset)
    assert_close((ended, whole[:, 4:]), (fresh, restarted))


def test_streaming_gives_the_whole_sequence(getkey):
    model, tokens = LanguageModel(11, 5, STACK, dropout=0.5), tokens_of(getkey())
    params = fresh_params(model)
    state, step, logits = model.start(params, (3,)), jax.jit(model.advance), []
    for t in range(tokens.shape[1]):
        state, scores = step(params, state, tokens[:, t])
        logits.append(scores)
    assert_close((state, jnp.stack(logits, axis=1)), model.apply({"params": params}, tokens))


def test_any_number_of_batch_axes(getkey):
    model, tokens = LanguageModel(11, 5, seqjax.GRU(4)), tokens_of(getkey(), (2, 3, 7))
    variables = {"params": fresh_params(model)}
    logits = model.apply(variables, tokens)[1]
    assert_close(logits[1, 2], model.apply(variables, tokens[1, 2])[1])


def test_dropout_is_on_with_a_key_alone(getkey):
    model, tokens = LanguageModel(11, 64, seqjax.Elman(64), dropout=0.5), tokens_of(getkey())
    variables, key = {"params": fresh_params(model)}, getkey()
    off = model.apply(variables, tokens)[1]
    np.testing.assert_array_equal(off, model.apply(variables, tokens)[1])
    on = model.apply(variables, tokens, rngs={"dropout": key})[1]
    np.testing.assert_array_equal(on, model.apply(variables, tokens, rngs={"dropout": key})[1])
    assert np.abs(on - off).max() > 0.05
    assert np.abs(on - model.apply(variables, tokens, rngs={"dropout": getkey()})[1]).max() > 0.05


def test_the_recurrence_s_own_dropout_is_on_with_the_same_key(getkey):
    model, tokens = LanguageModel(11, 5, STACK), tokens_of(getkey())
    variables = {"params": fresh_params(model)}
    off, on = (
        model.apply(variables, tokens)[1],
        model.apply(variables, tokens, rngs={"dropout": getkey()})[1],
    )
    assert np.abs(on - off).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recurrence": seqjax.bidirectional(seqjax.GRU(4))}, "reads the future"),
        (
            {"recurrence": seqjax.stack(seqjax.GRU(4), seqjax.bidirectional(seqjax.GRU(4)))},
            "reads the future",
        ),
        (
            {"recurrence": seqjax.GRU(4), "tied": True},
            "embedding_size=5 to equal the recurrence's 4 features",
        ),
    ],
)
def test_what_cannot_be_a_language_model_is_refused(getkey, options, words):
    with pytest.raises(ValueError, match=words):
        LanguageModel(11, 5, **options).init(getkey(), jnp.zeros((1, 2), int))


def test_it_is_a_value():
    model, same, other = (LanguageModel(11, 5, seqjax.stack(seqjax.GRU(n))) for n in (4, 4, 5))
    assert model == same != other and hash(model) == hash(same)
    assert model.advance == model.advance and hash(model.advance) == hash(model.advance)


def test_it_runs_under_nnx(getkey):
    linen, tokens = LanguageModel(11, 5, seqjax.GRU(6)), tokens_of(getkey())
    model = bridge.ToNNX(linen, rngs=nnx.Rngs(0)).lazy_init(tokens)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    assert_close(model(tokens)[1], linen.apply({"params": params}, tokens)[1])

    def loss(logits):
        return seqjax.losses.cross_entropy(logits[:, :-1], tokens[:, 1:])

    gradient = nnx.to_pure_dict(nnx.jit(nnx.grad(lambda m, t: loss(m(t)[1])))(model, tokens))
    wanted = jax.jit(jax.grad(lambda p: loss(linen.apply({"params": p}, tokens)[1])))(params)
    assert_close(gradient, wanted)


PERIOD = jnp.array(
    [0, 1, 0, 2, 0, 0, 3, 1]
)  # what follows a 0 or a 1 depends on what came before it


@pytest.mark.parametrize("tied", [False, True])
def test_it_learns_a_periodic_text(tied):
    model = LanguageModel(4, 16, seqjax.LSTM(16), tied=tied, dropout=0.1)
    optimiser = optax.adam(2e-2)

    def windows(key):
        starts = jax.random.randint(key, (16, 1), 0, len(PERIOD))
        return PERIOD[(starts + jnp.arange(25)[None]) % len(PERIOD)]

    def loss(params, text, rngs=None):
        _, logits = model.apply({"params": params}, text[:, :-1], rngs=rngs)
        return seqjax.losses.cross_entropy(
            logits[:, 8:], text[:, 9:]
        )  # a whole period tells where it stands

    @jax.jit
    def train(carry, key):
        def step(carry, key):
            params, moments = carry
            grads = jax.grad(loss)(params, windows(key), {"dropout": key})
            updates, moments = optimiser.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(step, carry, jax.random.split(key, 80))[0]

    params = fresh_params(model)
    test_text = windows(jax.random.key(3))
    before = float(loss(params, test_text))
    params, _ = train((params, optimiser.init(params)), jax.random.key(2))
    assert before > 1.0
    assert float(loss(params, test_text)) < 0.05


def test_variational_masks_hold_for_all_steps_of_a_row(getkey):
    tokens = tokens_of(getkey(), (4, 6))
    model = LanguageModel(11, 8, seqjax.GRU(8), dropout=0.5, variational=True)
    params = fresh_params(model)
    bound = model.bind({"params": params}, rngs={"dropout": getkey()})
    vectors = np.asarray(bound._embed(tokens))
    kept = vectors != 0
    assert (kept == kept[:, :1]).all() and 0.2 < kept.mean() < 0.8
    assert len({row.tobytes() for row in kept[:, 0]}) == 4
    table = params["embed"]["embedding"]
    np.testing.assert_allclose(vectors, np.where(kept, 2 * table[tokens], 0), rtol=1e-6)
    # By step no mask is shared among the rows.
    state = bound.initial_state((4,))
    _, logits = bound.step(state, tokens[:, 0] * 0)
    assert len(np.unique(np.asarray(logits), axis=0)) == 4


def test_a_dropped_word_is_dropped_wherever_it_stands(getkey):
    tokens = jnp.arange(11)[None].repeat(3, 0)
    model = LanguageModel(11, 8, seqjax.GRU(8), embedding_dropout=0.5)
    params = fresh_params(model)
    bound = model.bind({"params": params}, rngs={"dropout": getkey()})
    vectors = np.asarray(bound._embed(tokens))
    gone = (vectors == 0).all(-1)
    assert (gone == gone[:1]).all() and 0 < gone[0].sum() < 11
    table = np.asarray(params["embed"]["embedding"])
    np.testing.assert_allclose(vectors[:, ~gone[0]], 2 * table[None, ~gone[0]].repeat(3, 0))
    off = model.bind({"params": params})
    np.testing.assert_allclose(off._embed(tokens)[0], table)


def test_reading_gives_the_outputs_between(getkey):
    model, tokens = LanguageModel(11, 5, STACK), tokens_of(getkey())
    variables = {"params": fresh_params(model)}
    state, ys, logits = model.apply(variables, tokens, method="read")
    assert_close((state, logits), model.apply(variables, tokens))
    wanted = seqjax.unroll(
        STACK, variables["params"]["recurrent"], model.bind(variables)._embed(tokens)
    )
    assert_close((state, ys), wanted)
