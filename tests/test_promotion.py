"""JAX may be told to promote nothing, or to compute in float64: float32 data keep their dtype and nothing is refused.

Only traced, never compiled: what these settings refuse, they refuse while a function is traced.
Ranks are not promoted in the whole test run, see `conftest.py`.
"""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import attention, decoding, losses
from seqjax.decoding import ctc
from seqjax.losses import crf
from tests.recurrences import RECURRENCES, draw_inputs, draw_params, draw_state, each

pytestmark = pytest.mark.usefixtures("quick_compile")


@contextlib.contextmanager
def both():
    """Refuses what one of the settings alone refuses, and more: wide numbers beside narrow ones."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


SETTINGS = {
    "x64": lambda: jax.enable_x64(True),
    "no promotion": lambda: jax.numpy_dtype_promotion("strict"),
}
KERNELS = {
    name: RECURRENCES[name]
    for name in ("elman_tanh", "lstm", "gru_after", "gru_before", "stack", "bidirectional_max")
}
"""What has kernels, and what is made of it."""
LENGTHS = np.array([5, 2], np.int32)

settings = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
"""One after the other, for what mixes the widths of integers."""


def dtypes(tree):
    return [leaf.dtype for leaf in jax.tree.leaves(tree)]


def loss(recurrence, backend, reverse, params, xs, state, rng):
    """A function of all that an unrolling with lengths and resets gives, and what that is."""
    results = seqjax.unroll(
        recurrence,
        params,
        xs,
        state,
        lengths=LENGTHS,
        reset=np.zeros((2, 5), bool),
        rng=rng,
        reverse=reverse,
        backend=backend,
    )
    return sum(jnp.sum(jnp.sin(jnp.real(leaf))) for leaf in jax.tree.leaves(results)), results


@each(RECURRENCES)
def test_every_recurrence(recurrence):
    check_dtypes(recurrence, "scan", reverse=False)


@each(KERNELS)
@pytest.mark.parametrize("backend", ["fused", "native"])
def test_every_backend(recurrence, backend):
    check_dtypes(recurrence, backend, reverse=True)


def check_dtypes(recurrence, backend, reverse):
    """Gradients have the dtypes of what they are of, outputs those of the inputs."""
    arguments = (
        draw_params(recurrence),
        jnp.asarray(draw_inputs((2, 5))),
        draw_state(recurrence, (2,)),
    )
    with both():
        gradient = jax.grad(
            functools.partial(loss, recurrence, backend, reverse), argnums=(0, 1, 2), has_aux=True
        )
        gradients, results = jax.eval_shape(gradient, *arguments, jax.random.key(0))
        # From a fresh state, and without lengths and resets.
        fresh = jax.eval_shape(
            functools.partial(seqjax.unroll, recurrence, backend=backend), *arguments[:2]
        )
    assert dtypes(gradients) == dtypes(arguments)
    assert dtypes(results) == dtypes(fresh) == dtypes((arguments[2], arguments[1]))


@each({name: recurrence for name, recurrence in RECURRENCES.items() if recurrence.causal})
def test_every_step(recurrence):
    params, x, state = (
        draw_params(recurrence),
        jnp.asarray(draw_inputs((2,))),
        draw_state(recurrence, (2,)),
    )
    with both():
        after, y = jax.eval_shape(recurrence.step, params, state, x, rng=jax.random.key(0))
        jax.eval_shape(lambda: recurrence.init(jax.random.key(0), 3))
    assert dtypes((after, y)) == dtypes((state, x))


CELLS_OF_16_BITS = ("lru", "min_gru", "min_lstm", "gru_after", "slstm", "mlstm")


@each({name: RECURRENCES[name] for name in CELLS_OF_16_BITS})
def test_bfloat16_inputs(recurrence):
    params, xs = draw_params(recurrence), jnp.asarray(draw_inputs((2, 5)), jnp.bfloat16)
    with both():
        state, ys = jax.eval_shape(functools.partial(seqjax.unroll, recurrence), params, xs)
    assert ys.dtype == jnp.bfloat16 and dtypes(state) == dtypes(draw_state(recurrence, (2,)))


def test_numbers_are_those_of_float32(x64):
    cell = seqjax.MinLSTM(4)
    params, xs = draw_params(cell), draw_inputs((2, 5))
    given = seqjax.unroll(cell, params, xs)[1]
    with jax.enable_x64(False):
        wanted = seqjax.unroll(cell, params, xs)[1]
    np.testing.assert_allclose(given, wanted, rtol=1e-6)


def ones(*shape):
    return np.ones(shape, np.float32)


QUERY, KEYS, MASK = ones(2, 4, 6), ones(2, 5, 6), np.ones((2, 5), bool)
LOOKS = {
    "dot": functools.partial(attention.dot, mask=MASK),
    "scaled_dot": functools.partial(attention.scaled_dot, mask=MASK),
    "general": functools.partial(attention.general, mask=MASK, w=ones(6, 6)),
    "additive": functools.partial(attention.additive, mask=MASK, w_query=ones(6, 6), v=ones(6)),
    "concat": functools.partial(attention.concat, mask=MASK, w=ones(12, 6), v=ones(6)),
    "location": functools.partial(
        attention.location_sensitive,
        mask=MASK,
        before=ones(2, 4, 5),
        w_query=ones(6, 6),
        v=ones(6),
        filters=ones(3, 2),
        w_location=ones(2, 6),
    ),
    "multi_head": functools.partial(attention.multi_head, mask=MASK, heads=2),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_every_attention(unchecked, look):
    with both():
        total = lambda *inputs: sum(jnp.sum(out) for out in look(*inputs))  # noqa: E731
        gradients = jax.eval_shape(jax.grad(total, argnums=(0, 1, 2)), QUERY, KEYS, KEYS)
    assert dtypes(gradients) == [jnp.float32] * 3


CHAIN = ones(4, 4), ones(4), ones(4)
TAGS, LABELS, LABEL_LENGTHS = (
    np.zeros((2, 5), np.int32),
    np.array([[1, 2], [3, 1]], np.int32),
    np.array([2, 1]),
)
ALLOWED = crf.bio_constraints(["O", "B-x", "I-x", "B-y"])
LOSSES = {
    "cross_entropy": lambda e: losses.cross_entropy(e, TAGS, MASK, label_smoothing=0.1),
    "ctc": lambda e: losses.ctc(e, LABELS, LENGTHS, LABEL_LENGTHS).sum(),
    "focal": lambda e: losses.focal(losses.ctc(e, LABELS, LENGTHS, LABEL_LENGTHS), 2.0).sum(),
    "uniform_cross_entropy": lambda e: losses.uniform_cross_entropy(e, LENGTHS).sum(),
    "crf": lambda e: crf.log_likelihood(TAGS, e, *CHAIN, LENGTHS).sum(),
    "crf by halves": lambda e: crf.log_likelihood(TAGS, e, *CHAIN, LENGTHS, associative=True).sum(),
    "crf constrained": lambda e: crf.log_likelihood(
        TAGS, *crf.constrain(crf.Scores(e, *CHAIN), ALLOWED)
    ).sum(),
    "marginals": lambda e: crf.marginals(e, *CHAIN, LENGTHS).sum(),
    "viterbi": lambda e: crf.viterbi(e, *CHAIN, LENGTHS).scores.sum(),
    "kbest": lambda e: crf.kbest(e, *CHAIN, LENGTHS, k=3).scores.sum(),
    "doubly_stochastic": lambda e: losses.doubly_stochastic(e, MASK, np.ones((2, 4), bool)),
    "coverage": lambda e: losses.coverage_loss(e, MASK),
    "greedy": lambda e: ctc.greedy(e, LENGTHS).log_probs.sum(),
    "align": lambda e: ctc.align(e, LABELS, LENGTHS, LABEL_LENGTHS).log_probs.sum(),
    "prefix beam": lambda e: ctc.beam(e, LENGTHS, beam=3).scores.sum(),
}
ONLY_FORWARDS = ("greedy", "align", "prefix beam", "viterbi", "kbest")


@settings
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(setting, name):
    function = LOSSES[name] if name in ONLY_FORWARDS else jax.grad(LOSSES[name])
    with setting():
        result = jax.eval_shape(function, jax.ShapeDtypeStruct((2, 5, 4), jnp.float32))
    assert result.dtype == jnp.float32


@settings
def test_searches_and_samples(setting):
    step = lambda params, state, tokens: (state, jax.nn.one_hot(tokens, 7, dtype=jnp.float32))  # noqa: E731
    state, first, prompt = jnp.zeros((2, 1)), jnp.zeros(2, jnp.int32), jnp.zeros((2, 3), jnp.int32)
    search = functools.partial(decoding.beam_search, step, {}, length=3, stop_token=2)
    penalties = (decoding.LengthPenalty(),)
    write = functools.partial(
        decoding.sample, step, {}, length=3, temperature=0.7, top_k=3, top_p=0.9, stop_token=2
    )
    with setting():
        jax.eval_shape(functools.partial(search, beam=2, penalties=penalties), state, first)
        jax.eval_shape(functools.partial(search, beam=4, groups=2, n_best=2), state, first)
        jax.eval_shape(
            lambda state, key: search(state, first, beam=2, key=key), state, jax.random.key(0)
        )
        jax.eval_shape(lambda state, key: write(state, prompt, key=key), state, jax.random.key(0))
