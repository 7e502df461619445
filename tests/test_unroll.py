"""The door to a sequence: its axes, its options, what it compiles and keeps, and what it says to a mistake."""

import dataclasses
import functools

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests.recurrences import (
    INPUT_SIZE,
    NOT_CAUSAL,
    RECURRENCES,
    assert_close,
    assert_identical,
    draw_inputs,
    draw_params,
    draw_state,
    each,
)

KINDS = {name: RECURRENCES[name] for name in ("elman_tanh", "lstm", "gru_after", "lru", "stack_bidirectional")}


def make_arguments(recurrence, batch_shape, time, seed=0):
    """Params, inputs, a state in mid-sequence, lengths that do not all reach the end, and resets."""
    rng, params = np.random.default_rng(seed), draw_params(recurrence)
    lengths = rng.integers(0, time + 1, batch_shape).astype(np.int32)
    reset = rng.random((*batch_shape, time)) < 0.3
    xs, state = draw_inputs((*batch_shape, time), seed), draw_state(recurrence, batch_shape, seed)
    return params, xs, state, lengths, reset


@functools.partial(jax.jit, static_argnums=0, static_argnames=("reverse", "remat", "backend"))
def values_and_gradients(recurrence, params, xs, state, lengths, reset, **options):
    """State and outputs, and the gradients of a function of both."""

    def loss(params, xs, state):
        results = seqjax.unroll(recurrence, params, xs, state, lengths=lengths, reset=reset, **options)
        return sum(jnp.sum(jnp.sin(jnp.real(leaf))) for leaf in jax.tree.leaves(results)), results

    (_, results), gradients = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(params, xs, state)
    return results, gradients


@each({name: RECURRENCES[name] for name in ("lstm", "lru", "stack_bidirectional")})
@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 2)], ids=["none", "one", "two"])
def test_any_number_of_batch_axes(quick_compile, recurrence, batch_shape):
    params, xs, state, lengths, reset = make_arguments(recurrence, batch_shape, 5)
    flatten = lambda tree: jax.tree.map(lambda a: a.reshape(-1, *a.shape[len(batch_shape) :]), tree)  # noqa: E731
    given = seqjax.unroll(recurrence, params, xs, state, lengths=lengths, reset=reset)
    flat = [flatten(a) for a in (xs, state, lengths, reset)]
    wanted = seqjax.unroll(recurrence, params, flat[0], flat[1], lengths=flat[2], reset=flat[3])
    assert_close(flatten(given), wanted)


@each({name: RECURRENCES[name] for name in ("gru_after", "min_gru", "stack_bidirectional")})
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_time_major(quick_compile, recurrence, reverse):
    params, xs, state, lengths, reset = make_arguments(recurrence, (3,), 5)
    options = {"lengths": lengths, "reverse": reverse}
    wanted_state, ys = seqjax.unroll(recurrence, params, xs, state, reset=reset, **options)
    given = seqjax.unroll(recurrence, params, xs.swapaxes(0, 1), state, reset=reset.T, time_major=True, **options)
    assert_close(given, (wanted_state, np.swapaxes(ys, 0, 1)))


@each(KINDS)
@pytest.mark.parametrize("remat", ["step", "sqrt"])
def test_remat_changes_neither_values_nor_gradients(quick_compile, recurrence, remat):
    arguments = make_arguments(recurrence, (3,), 7)
    wanted = values_and_gradients(recurrence, *arguments, backend="scan")
    assert_close(values_and_gradients(recurrence, *arguments, remat=remat), wanted)


@each({name: RECURRENCES[name] for name in ("gru_after", "min_gru")})
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("time", [0, 1, 4, 5], ids=lambda time: f"T={time}")
def test_remat_sqrt_at_any_length(quick_compile, recurrence, reverse, time):
    arguments = make_arguments(recurrence, (3,), time)
    wanted = values_and_gradients(recurrence, *arguments, reverse=reverse, backend="scan")
    assert_close(values_and_gradients(recurrence, *arguments, reverse=reverse, remat="sqrt"), wanted)


@each(RECURRENCES)
def test_an_empty_sequence_returns_the_given_state(recurrence):
    params, xs, state, lengths, reset = make_arguments(recurrence, (2,), 0)
    for options in ({}, {"lengths": lengths, "reset": reset}, {"remat": "sqrt"}, {"rng": jax.random.key(0)}):
        after, ys = seqjax.unroll(recurrence, params, xs, state, **options)
        assert_identical(after, state)
        assert ys.shape == (2, 0, recurrence.output_size(INPUT_SIZE))


@each(KINDS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_backend_gives_what_scan_gives(quick_compile, recurrence, reverse):
    arguments = make_arguments(recurrence, (3,), 6)
    wanted = values_and_gradients(recurrence, *arguments, reverse=reverse, backend="scan")
    assert_close(values_and_gradients(recurrence, *arguments, reverse=reverse, backend="auto"), wanted)


@each({name: RECURRENCES[name] for name in ("gru_after", "lru", "stack")})
def test_vmap_over_an_ensemble_of_params(quick_compile, recurrence):
    members, xs = [draw_params(recurrence, seed) for seed in range(3)], draw_inputs((2, 5))
    ensemble = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    given = jax.vmap(lambda params: seqjax.unroll(recurrence, params, xs))(ensemble)
    for index, params in enumerate(members):
        assert_close(jax.tree.map(lambda a, i=index: a[i], given), seqjax.unroll(recurrence, params, xs))


@hypothesis.given(split=st.sampled_from([0, 1, 4]))
def test_a_sequence_may_be_split_anywhere(split):
    gru = seqjax.GRU(4)
    params, xs, state, _, _ = make_arguments(gru, (2,), 5)
    middle, head = seqjax.unroll(gru, params, xs[:, :split], state)
    final, tail = seqjax.unroll(gru, params, xs[:, split:], middle)
    assert_close((final, np.concatenate([head, tail], 1)), seqjax.unroll(gru, params, xs, state))


def test_without_a_state_the_initial_one_is_taken():
    cell = seqjax.LSTM(4)
    params, xs = draw_params(cell), draw_inputs((2, 5))
    zeros = cell.initial_state(params, (2,), xs.dtype)
    assert_identical(seqjax.unroll(cell, params, xs), seqjax.unroll(cell, params, xs, zeros))


def test_lengths_and_resets_may_be_lists():
    cell = seqjax.GRU(4)
    params, xs, reset = draw_params(cell), draw_inputs((2, 3)), [[False, True, False], [False] * 3]
    given = seqjax.unroll(cell, params, xs, lengths=[3, 1], reset=reset)
    assert_identical(given, seqjax.unroll(cell, params, xs, lengths=np.array([3, 1]), reset=np.array(reset)))


def test_known_lengths_may_be_used_under_jit():
    cell = seqjax.GRU(4)
    params, xs, lengths = draw_params(cell), draw_inputs((2, 3)), jnp.array([3, 1])
    given = jax.jit(lambda xs: seqjax.unroll(cell, params, xs, lengths=lengths))(xs)
    assert_close(given, seqjax.unroll(cell, params, xs, lengths=lengths))


def test_a_key_may_be_given_in_its_old_form():
    cell = seqjax.dropout(seqjax.GRU(4), 0.5)
    params, xs = draw_params(cell), draw_inputs((2, 3))
    given, wanted = (seqjax.unroll(cell, params, xs, rng=rng) for rng in (jax.random.PRNGKey(3), jax.random.key(3)))
    assert_identical(given, wanted)


# Compilations and memory


@dataclasses.dataclass(frozen=True, repr=False)
class Counted(seqjax.GRU):
    """A GRU that counts how often it is traced."""

    def scan(self, *args):
        TRACES.append(self)
        return super().scan(*args)


TRACES = []


def test_equal_shapes_and_equal_recurrences_compile_once():
    TRACES.clear()
    params, xs, state, lengths, reset = make_arguments(Counted(6), (2,), 5)
    seqjax.unroll(Counted(6), params, xs, state, lengths=lengths, reset=reset)
    assert len(TRACES) == 1
    seqjax.unroll(Counted(6), params, xs + 1, state, lengths=lengths * 0, reset=~reset)
    assert len(TRACES) == 1, "other values were compiled again"
    seqjax.unroll(Counted(6), params, xs[:, :4], state, lengths=lengths * 0, reset=reset[:, :4])
    assert len(TRACES) == 2, "another shape was not"


def test_user_functions_are_traced_once():
    cell = seqjax.LSTM(5)
    params, xs, state, _, _ = make_arguments(cell, (2,), 4)
    stream = jax.jit(chex.assert_max_traces(lambda state, xs: seqjax.unroll(cell, params, xs, state), n=1))
    for _ in range(3):
        state, _ = stream(state, xs)


def temporary_bytes(recurrence, remat, time=4096):
    """What the gradient of a long sequence needs beside its arguments and results."""
    params = jax.eval_shape(lambda: recurrence.init(jax.random.key(0), INPUT_SIZE))
    xs = jax.ShapeDtypeStruct((4, time, INPUT_SIZE), np.float32)
    loss = lambda params, xs: seqjax.unroll(recurrence, params, xs, remat=remat)[0].sum()  # noqa: E731
    return jax.jit(jax.grad(loss)).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


def test_remat_saves_memory():
    gru = seqjax.GRU(16)
    everything = temporary_bytes(gru, "none")
    assert temporary_bytes(gru, "step") < 0.75 * everything
    assert temporary_bytes(gru, "sqrt") < 0.25 * everything


# Mistakes


@each(NOT_CAUSAL)
def test_what_reads_the_future_has_no_step(recurrence):
    params = draw_params(recurrence)
    with pytest.raises(ValueError, match="has no step; give the whole sequence to seqjax.unroll"):
        recurrence.step(params, draw_state(recurrence, (2,)), jnp.ones((2, INPUT_SIZE)))


GRU = seqjax.GRU(4)
GOOD = {"recurrence": GRU, "params": draw_params(GRU), "xs": draw_inputs((2, 5))}
SHORT_PARAMS = {name: value for name, value in GOOD["params"].items() if name != "w_h"}
MISTAKES = {
    "recurrence": (TypeError, {"recurrence": "gru"}, r"recurrence is a str; give a seqjax.Recurrence"),
    "class": (TypeError, {"recurrence": seqjax.GRU}, r"recurrence is a type; give a seqjax.Recurrence"),
    "rank": (ValueError, {"xs": np.ones(3)}, r"xs has shape \(3,\); give \[\*batch, time, features\], at least two"),
    "rank time-major": (ValueError, {"xs": np.ones(3), "time_major": True}, r"give \[time, \*batch, features\]"),
    "tokens": (TypeError, {"xs": np.ones((2, 5, 3), int)}, r"xs is int32; give floating-point features .*embed"),
    "features": (ValueError, {"xs": np.ones((2, 5, 7), np.float32)}, r"params\['w_x'\] has shape \(3, 12\).*\(7, 12\)"),
    "params missing": (ValueError, {"params": SHORT_PARAMS}, r"params\['w_h'\] is missing; GRU\(4\) .*wants \(4, 12\)"),
    "params extra": (ValueError, {"params": GOOD["params"] | {"w": 1.0}}, r"params\['w'\] .*has no such entry"),
    "params shape": (ValueError, {"params": draw_params(seqjax.GRU(5))}, r"params\['b'\] has shape \(15,\).*\(12,\)"),
    "state batch": (
        ValueError,
        {"state": jnp.zeros((3, 4))},
        r"state has shape \(3, 4\); .*batch \(2,\) wants \(2, 4\)",
    ),
    "state kind": (ValueError, {"state": (jnp.zeros((2, 4)),) * 2}, r"state\[0\].*has no such entry|state is missing"),
    "lengths dtype": (TypeError, {"lengths": np.ones(2)}, r"lengths are float\d+; give integers"),
    "lengths shape": (
        ValueError,
        {"lengths": np.ones(3, int)},
        r"lengths have shape \(3,\); the batch of xs is \(2,\)",
    ),
    "lengths scalar": (ValueError, {"lengths": 5}, r"lengths have shape \(\); the batch of xs is \(2,\)"),
    "length too long": (ValueError, {"lengths": np.array([5, 6])}, r"a length is 6; the sequence has 5 steps"),
    "length negative": (ValueError, {"lengths": np.array([-1, 5])}, r"a length is -1; .* give lengths from 0 to 5"),
    "reset dtype": (TypeError, {"reset": np.ones((2, 5))}, r"reset is float\d+; give booleans"),
    "reset shape": (ValueError, {"reset": np.ones((5, 2), bool)}, r"reset has shape \(5, 2\); these xs want \(2, 5\)"),
    "remat": (ValueError, {"remat": "all"}, r"remat='all' is unknown; choose one of 'none', 'step', 'sqrt'"),
    "backend": (ValueError, {"backend": "cuda"}, r"backend='cuda' is unknown; choose one of 'auto', 'scan'"),
    "rng": (TypeError, {"rng": 0}, r"rng is the number 0; give a key, rng=jax.random.key\(0\)"),
    "rngs": (TypeError, {"rng": jax.random.split(jax.random.key(0), 3)}, r"give one key from jax.random.key\(seed\)"),
}


@pytest.mark.parametrize(("error", "change", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(unchecked, error, change, message):
    arguments = GOOD | change
    positional = [arguments.pop(name) for name in ("recurrence", "params", "xs")]
    with pytest.raises(error, match=message):
        seqjax.unroll(*positional, **arguments)


def test_wrong_inner_shapes_are_named_by_their_path(unchecked):
    recurrence = seqjax.stack(seqjax.GRU(4), seqjax.bidirectional(seqjax.LSTM(4)))
    params, xs = draw_params(recurrence), draw_inputs((2, 5))
    state = draw_state(recurrence, (2,))
    params["layer_1"]["backward"]["b"] = jnp.zeros(15)
    with pytest.raises(ValueError, match=r"params\['layer_1'\]\['backward'\]\['b'\] has shape \(15,\).*\(16,\)"):
        seqjax.unroll(recurrence, params, xs)

    wrong = (state[0], state[1]._replace(backward=seqjax.LSTMState(jnp.zeros((2, 4)), jnp.zeros((2, 5)))))
    with pytest.raises(ValueError, match=r"state\[1\]\.backward\.c has shape \(2, 5\).*\(2, 4\)"):
        seqjax.unroll(recurrence, draw_params(recurrence), xs, wrong)


@each(RECURRENCES)
def test_a_wrong_number_of_features_is_never_accepted(unchecked, recurrence):
    with pytest.raises(ValueError, match=f"on inputs of {INPUT_SIZE + 1} features|make them equal"):
        seqjax.unroll(recurrence, draw_params(recurrence), np.ones((2, 5, INPUT_SIZE + 1), np.float32))


@each({name: r for name, r in RECURRENCES.items() if r.causal})
def test_a_wrong_number_of_features_is_never_accepted_by_step(unchecked, recurrence):
    params = draw_params(recurrence)
    with pytest.raises((ValueError, TypeError)):
        recurrence.step(params, draw_state(recurrence, (2,)), jnp.ones((2, INPUT_SIZE + 1)))
