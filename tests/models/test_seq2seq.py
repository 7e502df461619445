"""Encoder, bridge and decoder together: the wiring, the padding, the contract of decoding, and tasks learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.models import Decoder, Encoded, Encoder, ProjectedState, Seq2Seq

SOURCE = np.array([[1, 2, 3, 4, 5], [6, 5, 4, 0, 0], [2, 2, 0, 0, 0]])
LENGTHS = np.array([5, 3, 2])
TOKENS = np.array([[1, 2, 3], [4, 0, 6], [5, 5, 5]])

pytestmark = pytest.mark.usefixtures("quick_compile")


def make(**options):
    outer = {name: options.pop(name) for name in ("bridge", "shared") if name in options}
    encoder = Encoder(
        7, 4, seqjax.bidirectional(seqjax.GRU(3)), reverse=options.pop("reverse", False)
    )
    decoder = {"vocab_size": 7, "embedding_size": 4, "recurrence": seqjax.GRU(6)} | options
    return Seq2Seq(encoder, Decoder(**decoder), **outer)


@pytest.fixture(scope="module")
def model():
    model = make()
    return model, model.init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)["params"]


def test_the_contract_of_decoding(model):
    model, params = model
    wanted = model.apply({"params": params}, SOURCE, LENGTHS, TOKENS)
    context, state = model.start(params, SOURCE, LENGTHS)
    assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(state))
    rows = []
    for t in range(3):
        state, logits = model.advance(context, state, TOKENS[:, t])
        np.testing.assert_allclose(state.attention, wanted.attention[:, t], atol=2e-6)
        rows.append(logits)
    np.testing.assert_allclose(np.stack(rows, 1), wanted.logits, atol=2e-6)


@pytest.mark.parametrize(
    "options", [{}, {"input_feeding": True}, {"attention": "additive", "coverage": True}]
)
def test_beams_stand_beside_each_other_over_one_memory(options):
    model = make(**options)
    params = model.init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)["params"]
    context, state = model.start(params, SOURCE, LENGTHS)
    beams = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1], axis=1), state)
    after, logits = jax.vmap(model.advance, in_axes=(None, 1, 1), out_axes=1)(
        context, beams, TOKENS[:, :2]
    )
    assert logits.shape == (3, 2, 7) and after.attention.shape == (3, 2, 5)
    for beam in range(2):
        alone = jax.tree.map(lambda leaf, beam=beam: leaf[:, beam], beams)
        one, said = model.advance(context, alone, TOKENS[:, beam])
        np.testing.assert_allclose(logits[:, beam], said, atol=2e-6)
        np.testing.assert_allclose(after.attention[:, beam], one.attention, atol=2e-6)


def test_sampling_takes_it_as_it_is(model):
    model, params = model
    context, state = model.start(params, SOURCE, LENGTHS)
    out = seqjax.decoding.sample(
        model.advance,
        context,
        state,
        TOKENS[:, :1],
        jax.random.key(0),
        4,
        temperature=0,
        stop_token=2,
    )
    forced = model.apply(
        {"params": params}, SOURCE, LENGTHS, np.concatenate([TOKENS[:, :1], out.tokens[:, :-1]], 1)
    )
    for row, length in enumerate(out.lengths):
        np.testing.assert_array_equal(
            out.tokens[row, :length], forced.logits[row, :length].argmax(-1)
        )


@pytest.mark.parametrize(
    "options", [{}, {"reverse": True}, {"bridge": "last"}, {"attention": None}]
)
def test_padding_of_the_source_is_ignored(options):
    model = make(**options)
    params = model.init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)["params"]
    loss = jax.jit(
        jax.value_and_grad(
            lambda p, s: (model.apply({"params": p}, s, LENGTHS, TOKENS).logits ** 2).sum()
        )
    )
    past = np.arange(5) >= LENGTHS[:, None]
    clean, dirty = loss(params, SOURCE), loss(params, np.where(past, 6, SOURCE))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), clean, dirty)
    short = model.apply({"params": params}, SOURCE[1:2, :3], LENGTHS[1:2], TOKENS[1:2]).logits
    full = model.apply({"params": params}, SOURCE, LENGTHS, TOKENS).logits
    np.testing.assert_allclose(full[1:2], short, atol=2e-6)


def final_and_first(options, source=SOURCE):
    model = make(**options)
    params = model.init(jax.random.key(0), source, LENGTHS, TOKENS)["params"]
    _, state = model.start(params, source, LENGTHS)
    encoder = model.encoder.clone(name=None)
    encoded = encoder.apply({"params": params["encoder"]}, source, LENGTHS)
    return params, encoded, state.recurrent


def test_each_bridge_begins_where_it_says():
    _, _, first = final_and_first({"bridge": "zero"})
    np.testing.assert_array_equal(first, np.zeros((3, 6)))
    _, encoded, first = final_and_first({"bridge": "last"})
    np.testing.assert_array_equal(
        first, np.concatenate([encoded.final.forward, encoded.final.backward], -1)
    )
    params, encoded, first = final_and_first({"bridge": "projected"})
    layer = params["projected"]["leaf_0"]
    both = np.concatenate([encoded.final.forward, encoded.final.backward], -1)
    wanted = np.tanh(both @ layer["kernel"] + layer["bias"][None])
    np.testing.assert_allclose(first, wanted, atol=1e-6)


def test_a_reversed_source_ends_with_its_first_token():
    one_way = Encoder(7, 4, seqjax.GRU(3), reverse=True)
    params = one_way.init(jax.random.key(0), SOURCE, LENGTHS)["params"]
    found = one_way.apply({"params": params}, SOURCE, LENGTHS)
    for row, length in enumerate(LENGTHS):
        backwards = SOURCE[row : row + 1, :length][:, ::-1]
        wanted = one_way.clone(reverse=False).apply(
            {"params": params}, backwards, LENGTHS[row : row + 1]
        )
        np.testing.assert_allclose(found.final[row], wanted.final[0], atol=1e-6)
        np.testing.assert_allclose(found.values[row, :length], wanted.values[0, ::-1], atol=1e-6)


def test_a_complex_state_is_projected_too():
    recurrence = seqjax.LRU(5)
    layer = ProjectedState(recurrence, 4)
    summary = {"a": jnp.ones((2, 3)), "b": jnp.full((2, 2), 1j)}
    variables = layer.init(jax.random.key(0), summary)
    state = layer.apply(variables, summary)
    wanted = recurrence.initial_state(recurrence.init(jax.random.key(0), 4), (2,), "float32")
    assert jax.tree.map(lambda a: (a.shape, a.dtype), state) == jax.tree.map(
        lambda a: (a.shape, a.dtype), wanted
    )


def test_one_embedding_serves_both_sides_and_the_scores():
    model = make(shared=True, tied=True)
    params = model.init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)["params"]
    tables = [path for path, leaf in jax.tree.leaves_with_path(params) if leaf.shape == (7, 4)]
    assert len(tables) == 1
    separate = make().init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)["params"]
    assert sum(leaf.shape == (7, 4) for leaf in jax.tree.leaves(separate)) == 2


def test_any_module_may_encode():
    import flax.linen as nn

    class Grid(nn.Module):
        @nn.compact
        def __call__(self, images, lengths=None):
            cells = nn.Dense(5)(images.reshape(images.shape[0], -1, images.shape[-1]))
            return Encoded(cells, jnp.ones(cells.shape[:2], bool), cells.mean(1))

    model, images = Seq2Seq(Grid(), Decoder(7, 4, seqjax.LSTM(6))), jnp.ones((3, 2, 2, 3))
    params = model.init(jax.random.key(0), images, None, TOKENS)["params"]
    assert model.apply({"params": params}, images, None, TOKENS).attention.shape == (3, 3, 4)
    context, state = model.start(params, images)
    assert model.advance(context, state, TOKENS[:, 0])[1].shape == (3, 7)


def test_a_copying_model_writes_what_its_vocabulary_does_not_have():
    model = make(copying=2)
    source = np.where(SOURCE == 3, 8, SOURCE)
    params = model.init(jax.random.key(0), source, LENGTHS, TOKENS)["params"]
    chances = np.exp(model.apply({"params": params}, source, LENGTHS, TOKENS).logits)
    assert (
        chances.shape == (3, 3, 9)
        and (chances[0, :, 8] > 1e-3).all()
        and (chances[1, :, 8] < 1e-30).all()
    )


def test_mistakes_are_named():
    def init(**options):
        return make(**options).init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)

    with pytest.raises(
        ValueError, match=r"ends with a state of shapes \[\(3, 6\)\], LSTM\(6\) begins with"
    ):
        init(bridge="last", recurrence=seqjax.LSTM(6))
    with pytest.raises(ValueError, match=r"shared=True .* sizes are \[\(7, 4\), \(7, 5\)\]"):
        init(shared=True, embedding_size=5)


def test_an_unknown_bridge(unchecked):
    with pytest.raises(ValueError, match="bridge='lost' is unknown"):
        make(bridge="lost").init(jax.random.key(0), SOURCE, LENGTHS, TOKENS)
