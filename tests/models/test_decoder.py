"""The decoder against the papers' equations, one step and one row at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.models import Attention, Decoder

VOCAB, EMBEDDING, HIDDEN, FEATURES = 7, 4, 6, 5
MASK = np.array([[True] * 4, [True, True, False, False], [False] * 4])
TOKENS = np.array([[1, 2, 3], [4, 0, 6], [5, 5, 5]])
HELD = np.array([[2, 8, 2, 6], [7, 8, 0, 0], [1, 1, 1, 1]])
KINDS = {
    "luong": {},
    "without": {"attention": None},
    "dot": {"attention": "dot"},
    "scaled": {"attention": "scaled_dot"},
    "heads": {"attention": "multi_head", "attention_units": 8},
    "additive": {"attention": "additive", "attention_units": 3},
    "concat": {"attention": "concat"},
    "location": {"attention": "location"},
    "feeding": {"input_feeding": True},
    "bahdanau": {"form": "bahdanau", "attention": "additive"},
    "copying": {"copying": 2},
    "coverage": {"attention": "additive", "coverage": True, "copying": 2},
    "tied": {"tied": True},
}

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize(
    ("options", "words"), [({"score": "location"}, "before"), ({"coverage": True}, "coverage")]
)
def test_attention_asks_for_what_its_score_looks_at(options, words):
    look = Attention(4, **{"score": "additive"} | options)
    with pytest.raises(ValueError, match=f"give {words}"):
        look.init(jax.random.key(0), jnp.ones((1, 2, 4)), jnp.ones((1, 3, 4)), jnp.ones((1, 3, 4)))


class Setting:
    """A decoder, its params, and functions of them compiled once."""

    def __init__(self, kind):
        recurrence = seqjax.LSTM(HIDDEN)
        self.model = Decoder(VOCAB, EMBEDDING, recurrence, **KINDS[kind])
        self.features = HIDDEN if kind in ("dot", "scaled") else FEATURES
        self.values = np.random.default_rng(1).normal(size=(3, 4, self.features)).astype("float32")
        self.params = self.model.init(jax.random.key(0), self.values, TOKENS, method=teach)[
            "params"
        ]
        self.teach = jax.jit(
            lambda params, values, tokens: self.model.apply(
                {"params": params}, values, tokens, method=teach
            )
        )
        self.begin = jax.jit(
            lambda params, values: self.model.apply({"params": params}, values, method=begin)
        )
        self.step = jax.jit(
            lambda params, *rest: self.model.apply({"params": params}, *rest, method="step")
        )


def begin(decoder, values):
    memory = decoder.prepare(jnp.asarray(values), jnp.asarray(MASK), jnp.asarray(HELD))
    return memory, decoder.initial_state(memory)


def teach(decoder, values, tokens):
    return decoder(*begin(decoder, values), tokens)


@pytest.fixture(scope="module")
def settings():
    made = {}
    return lambda kind: made.setdefault(kind, Setting(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_sequence_at_once_is_step_after_step(settings, kind):
    s = settings(kind)
    memory, state = s.begin(s.params, s.values)
    assert state.attention.shape == (3, 4) and (state.attention == 0).all()
    logits, weights = [], []
    for t in range(TOKENS.shape[1]):
        state, row = s.step(s.params, memory, state, TOKENS[:, t])
        logits, weights = [*logits, row], [*weights, state.attention]
    found = s.teach(s.params, s.values, TOKENS)
    np.testing.assert_allclose(found.logits, np.stack(logits, 1), atol=2e-6)
    np.testing.assert_allclose(found.attention, np.stack(weights, 1), atol=2e-6)
    if kind != "without":
        np.testing.assert_allclose(found.attention.sum(-1)[:2], 1, rtol=1e-5)
    assert (
        found.attention[:, :, :][~np.broadcast_to(MASK[:, None], found.attention.shape)] == 0
    ).all()


def softmax(a):
    raised = np.exp(a - a.max())
    return raised / raised.sum()


def look(kind, p, query, values, coverage):
    """Weights and context of one query over the valid values."""
    if kind in ("bahdanau", "coverage"):
        inner = query @ p["w_query"] + values @ p["key"]["kernel"] + p["key"]["bias"]
        inner = inner + np.outer(coverage, p["w_coverage"]) if kind == "coverage" else inner
        scores = np.tanh(inner) @ p["v"]
    else:
        scores = values @ p["key"]["kernel"] @ query
    weights = softmax(scores)
    return weights, weights @ values


def by_hand(s, kind, row):
    """The equations of the papers for one row, the recurrence alone taken from the library."""
    p, model = jax.tree.map(np.asarray, s.params), s.model
    values, held = s.values[row][MASK[row]], HELD[row][MASK[row]]
    table, coverage, feed = p["table"]["embedding"], np.zeros(len(values)), np.zeros(HIDDEN)
    size = EMBEDDING + {"bahdanau": FEATURES, "feeding": HIDDEN}.get(kind, 0)
    fresh = model.recurrence.init(jax.random.key(0), size)
    state, said = model.recurrence.initial_state(fresh, (), "float32"), []
    for token in TOKENS[row]:
        embedded = table[token]
        if kind == "bahdanau":
            weights, context = look(kind, p["look"], np.asarray(state.h), values, coverage)
        beside = context if kind == "bahdanau" else feed if kind == "feeding" else []
        x = np.concatenate([embedded, beside])
        state, y = model.recurrence.step(s.params["recurrent"], state, jnp.asarray(x, jnp.float32))
        y = np.asarray(y)
        if kind not in ("bahdanau", "without"):
            weights, context = look(kind, p["look"], y, values, coverage)
        parts = (
            [y]
            if kind == "without"
            else [y, context, embedded]
            if kind == "bahdanau"
            else [y, context]
        )
        feed = y if kind == "without" else np.tanh(np.concatenate(parts) @ p["combine"]["kernel"])
        logits = (
            feed @ table.T + p["bias"]
            if kind == "tied"
            else feed @ p["head"]["kernel"] + p["head"]["bias"]
        )
        if model.copying is not None:
            gate = p["copier"]["gate"]
            seen = np.concatenate([y, context, embedded])
            write = float(1 / (1 + np.exp(-(seen @ gate["kernel"] + gate["bias"])))[0])
            chance = np.concatenate([write * softmax(logits), np.zeros(2)])
            for place, share in zip(held, weights, strict=True):
                chance[place] += (1 - write) * share
            logits = np.log(np.maximum(chance, np.finfo("float32").tiny))
        coverage = coverage if kind == "without" else coverage + weights
        said.append(logits)
    return np.array(said)


@pytest.mark.parametrize(
    "kind", ["luong", "without", "feeding", "bahdanau", "copying", "coverage", "tied"]
)
def test_it_is_the_equations_of_the_papers(settings, kind):
    s = settings(kind)
    found = s.teach(s.params, s.values, TOKENS).logits
    for row in range(2):
        np.testing.assert_allclose(found[row], by_hand(s, kind, row), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["luong", "feeding", "bahdanau", "coverage", "heads"])
def test_what_stands_at_invalid_positions_changes_neither_values_nor_gradients(settings, kind):
    s = settings(kind)
    loss = jax.jit(
        jax.value_and_grad(lambda p, values: (s.teach(p, values, TOKENS).logits ** 2).sum())
    )
    clean = loss(s.params, s.values)
    dirty = loss(s.params, np.where(MASK[..., None], s.values, np.nan))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), clean, dirty)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dirty))


def test_copied_ids_are_read_as_unknown_and_probabilities_sum_to_one(settings):
    s = settings("copying")
    found = s.teach(s.params, s.values, TOKENS).logits
    np.testing.assert_allclose(np.exp(found[:2]).sum(-1), 1, rtol=1e-5)
    beyond = s.teach(s.params, s.values, np.where(TOKENS == 4, 8, TOKENS)).logits
    unknown = s.teach(s.params, s.values, np.where(TOKENS == 4, s.model.unknown, TOKENS)).logits
    np.testing.assert_array_equal(beyond, unknown)
    assert (beyond != found).any()


def sampled(s, probability, key, params=None):
    def run(decoder, values, tokens):
        return decoder(*begin(decoder, values), tokens, sampling=probability)

    variables = {"params": s.params if params is None else params}
    return s.model.apply(variables, s.values, TOKENS, method=run, rngs={"sampling": key})


@pytest.mark.parametrize("kind", ["luong", "coverage"])
def test_scheduled_sampling_goes_from_teacher_forcing_to_writing_alone(settings, kind):
    s = settings(kind)
    forced = s.teach(s.params, s.values, TOKENS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6),
        sampled(s, 1.0, jax.random.key(0)),
        forced,
    )
    memory, state = s.begin(s.params, s.values)
    token, alone = jnp.asarray(TOKENS[:, 0]), sampled(s, 0.0, jax.random.key(0)).logits
    for t in range(TOKENS.shape[1]):
        state, logits = s.step(s.params, memory, state, token)
        np.testing.assert_allclose(alone[:, t], logits, atol=2e-6)
        token = logits.argmax(-1)
    half = [sampled(s, 0.5, jax.random.key(seed)).logits for seed in range(4)]
    assert any((a != forced.logits).any() for a in half) and any((a != alone).any() for a in half)


def test_dropout_is_on_with_a_key_and_off_without(settings):
    s = settings("luong")
    model = s.model.clone(dropout=0.5)
    run = lambda rngs: (  # noqa: E731
        model.apply({"params": s.params}, s.values, TOKENS, method=teach, rngs=rngs).logits
    )
    np.testing.assert_array_equal(run({}), s.teach(s.params, s.values, TOKENS).logits)
    a, b = (run({"dropout": jax.random.key(seed)}) for seed in range(2))
    assert (a != b).any()


def test_remat_changes_nothing_but_the_memory(settings):
    s = settings("bahdanau")
    model = s.model.clone(remat="step")
    loss = lambda m: jax.grad(  # noqa: E731
        lambda p: (m.apply({"params": p}, s.values, TOKENS, method=teach).logits ** 2).sum()
    )
    plain, saved = (jax.jit(loss(m))(s.params) for m in (s.model, model))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, saved)


def test_the_state_shown_is_that_of_the_innermost_last_layer():
    inner = seqjax.stack(seqjax.GRU(3), seqjax.residual(seqjax.dropout(seqjax.LSTM(3), 0.1)))
    state = inner.initial_state(inner.init(jax.random.key(0), 3), (2,), "float32")
    state = (state[0], state[1]._replace(h=jnp.ones((2, 3))))
    np.testing.assert_array_equal(inner.shown(state), np.ones((2, 3)))
    assert seqjax.LRU(4).shown(jnp.zeros(4)) is None
    assert seqjax.bidirectional(inner).shown((state, state)) is None


def test_bahdanaus_form_refuses_a_recurrence_that_shows_no_state():
    model = Decoder(9, 4, seqjax.LRU(4), form="bahdanau")
    with pytest.raises(ValueError, match="shows none; use form='luong'"):
        model.init(jax.random.key(0), jnp.zeros((3, 4, 5)), TOKENS, method=teach)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "loung"}, "form='loung' is unknown; choose one of 'luong', 'bahdanau'"),
        ({"attention": "dots"}, "the score 'dots' is unknown"),
        (
            {"attention": "general", "coverage": True},
            "'general' takes no coverage; 'additive' and 'concat' do",
        ),
        ({"attention": None, "copying": 0}, "attention=None does not go with copying"),
        (
            {"attention": None, "form": "bahdanau"},
            "attention=None does not go with form='bahdanau'",
        ),
        ({"form": "bahdanau", "input_feeding": True}, "input_feeding goes with 'luong'"),
        ({"attention": None, "tied": True}, "embedding_size=4 to equal the recurrence's 6"),
        ({"recurrence": seqjax.bidirectional(seqjax.GRU(6))}, "reads the future"),
    ],
)
def test_options_that_do_not_go_together(unchecked, options, said):
    settings = {"recurrence": seqjax.GRU(6)} | options
    with pytest.raises(ValueError, match=said):
        Decoder(VOCAB, EMBEDDING, **settings).init(
            jax.random.key(0), np.ones((3, 4, 5)), TOKENS, method=teach
        )


def test_a_decoder_that_copies_wants_to_know_what_is_held():
    with pytest.raises(ValueError, match="wants to know the token that each position holds"):
        Decoder(VOCAB, EMBEDDING, seqjax.GRU(6), copying=0).init(
            jax.random.key(0), jnp.ones((1, 2, 3)), method="prepare"
        )
