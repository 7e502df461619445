"""Every cell variant and every combinator, and random params, states and inputs for them.

The laws of `test_recurrence.py` hold for each entry of `RECURRENCES`. Inputs have `INPUT_SIZE`
features.
"""

import functools

import jax
import numpy as np
import pytest

import seqjax

INPUT_SIZE = 3

RECURRENCES = {
    "elman_tanh": seqjax.Elman(4),
    "elman_relu": seqjax.Elman(4, activation="relu"),
    "lstm": seqjax.LSTM(4),
    "lstm_peephole": seqjax.LSTM(4, peephole=True),
    "lstm_projection": seqjax.LSTM(4, projection_size=2),
    "lstm_layer_norm": seqjax.LSTM(4, layer_norm=True),
    "lstm_coupled": seqjax.LSTM(4, coupled=True),
    "lstm_all": seqjax.LSTM(4, peephole=True, projection_size=2, layer_norm=True, coupled=True),
    "gru_after": seqjax.GRU(4),
    "gru_before": seqjax.GRU(4, reset="before"),
    "gru_layer_norm": seqjax.GRU(4, layer_norm=True),
    "lru": seqjax.LRU(4),
    "min_gru": seqjax.MinGRU(4),
    "min_lstm": seqjax.MinLSTM(4),
    "slstm": seqjax.SLSTM(4, heads=2),
    "mlstm": seqjax.MLSTM(4, heads=2, chunk_size=4),
    "rglru": seqjax.RGLRU(4),
    "indrnn": seqjax.IndRNN(4),
    "mgu": seqjax.MGU(4),
    "stack": seqjax.stack(seqjax.GRU(4), seqjax.LSTM(4), dropout=0.5, residual=True),
    "bidirectional_concat": seqjax.bidirectional(seqjax.GRU(4), seqjax.LSTM(2)),
    "bidirectional_sum": seqjax.bidirectional(seqjax.Elman(4), merge="sum"),
    "bidirectional_mean": seqjax.bidirectional(seqjax.LRU(4), merge="mean"),
    "bidirectional_max": seqjax.bidirectional(seqjax.GRU(4), seqjax.MinGRU(4), merge="max"),
    "residual": seqjax.residual(seqjax.GRU(INPUT_SIZE)),
    "dropout": seqjax.dropout(seqjax.LSTM(4), 0.5),
    "dropout_variational": seqjax.dropout(seqjax.GRU(4), 0.5, variational=True),
    "zoneout_lstm": seqjax.zoneout(seqjax.LSTM(4), 0.3, 0.6),
    "zoneout_gru": seqjax.zoneout(seqjax.GRU(4), 0.3),
    "gated_lru": seqjax.gated(seqjax.LRU(4)),
    "stack_bidirectional": seqjax.stack(
        seqjax.bidirectional(seqjax.Elman(4)), seqjax.bidirectional(seqjax.GRU(2))
    ),
    "learned_initial_state": seqjax.learn_initial_state(seqjax.LSTM(4)),
    "learned_bidirectional": seqjax.learn_initial_state(
        seqjax.bidirectional(seqjax.GRU(3), seqjax.LRU(2))
    ),
    "return_states": seqjax.return_states(seqjax.stack(seqjax.LSTM(3), seqjax.LRU(2))),
    "stack_skip": seqjax.stack(seqjax.GRU(4), seqjax.LSTM(2), skip="concat"),
    "block": seqjax.block(seqjax.RGLRU(4), width=3),
    "block_mlstm": seqjax.block(seqjax.MLSTM(4, heads=2, chunk_size=4)),
    "weight_drop": seqjax.weight_drop(seqjax.LSTM(4), 0.5),
}
CAUSAL = {name: recurrence for name, recurrence in RECURRENCES.items() if recurrence.causal}
NOT_CAUSAL = {name: recurrence for name, recurrence in RECURRENCES.items() if not recurrence.causal}
STOCHASTIC = {
    name: RECURRENCES[name] for name in ("stack", "dropout", "zoneout_lstm", "zoneout_gru")
}


def each(recurrences):
    """A test's parameter `recurrence`, running over a dict such as `RECURRENCES`."""
    return pytest.mark.parametrize("recurrence", recurrences.values(), ids=recurrences.keys())


def draw(like, seed, scale=1.0):
    """A pytree of normal numbers in the shapes and dtypes of `like`."""
    rng = np.random.default_rng(seed)

    def leaf(want):
        values = scale * rng.normal(size=want.shape)
        if np.issubdtype(want.dtype, np.complexfloating):
            values = values + 1j * scale * rng.normal(size=want.shape)
        return jax.numpy.asarray(values, want.dtype)

    return jax.tree.map(leaf, like)


@functools.cache
def params_like(recurrence, input_size):
    with jax.enable_x64(False):
        return jax.eval_shape(lambda: recurrence.init(jax.random.key(0), input_size))


@functools.cache
def state_like(recurrence, batch_shape):
    params = params_like(recurrence, INPUT_SIZE)
    with jax.enable_x64(False):
        return jax.eval_shape(
            lambda p: recurrence.initial_state(p, batch_shape, np.float32), params
        )


def draw_params(recurrence, seed=0, input_size=INPUT_SIZE):
    """Params in which nothing is zero or one, so that each of them counts."""
    return draw(params_like(recurrence, input_size), seed, scale=0.5)


def draw_state(recurrence, batch_shape, seed=0):
    """A state in the middle of a sequence."""
    state = draw(state_like(recurrence, batch_shape), seed)
    return jax.tree.map(_reachable, state, is_leaf=lambda part: isinstance(part, seqjax.SLSTMState))


def _reachable(state):
    """The same, but that the normaliser of an sLSTM is never below 1."""
    if isinstance(state, seqjax.SLSTMState):
        return state._replace(n=1 + abs(state.n))
    return state


def draw_inputs(shape, seed=0):
    """Inputs `[*shape, INPUT_SIZE]`."""
    return np.random.default_rng(seed).normal(size=(*shape, INPUT_SIZE)).astype(np.float32)


def in_float64(tree):
    """The same numbers in float64 and complex128; wants the fixture `x64`."""
    return jax.tree.map(
        lambda a: jax.numpy.asarray(a, jax.numpy.promote_types(a.dtype, np.float64)), tree
    )


def assert_close(given, wanted, tolerance=1e-5):
    """Two pytrees of one structure hold the same numbers."""
    assert jax.tree.structure(given) == jax.tree.structure(wanted)
    for (path, a), b in zip(jax.tree.leaves_with_path(given), jax.tree.leaves(wanted), strict=True):
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)
        assert np.shape(a) == np.shape(b), name


def assert_identical(given, wanted):
    """Two pytrees of one structure hold the same bits."""
    assert jax.tree.structure(given) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, given, wanted)
