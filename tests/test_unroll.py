"""The door to a sequence: its axes, its options, what it compiles and keeps, and what it says to a mistake."""

import dataclasses
import functools
import gc
import weakref

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import seqjax
from tests.recurrences import (
    INPUT_SIZE,
    NOT_CAUSAL,
    RECURRENCES,
    STOCHASTIC,
    assert_close,
    assert_identical,
    draw_inputs,
    draw_params,
    draw_state,
    each,
)

KINDS = {
    name: RECURRENCES[name]
    for name in ("elman_tanh", "lstm", "gru_after", "lru", "stack_bidirectional")
}


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
        results = seqjax.unroll(
            recurrence, params, xs, state, lengths=lengths, reset=reset, **options
        )
        return sum(jnp.sum(jnp.sin(jnp.real(leaf))) for leaf in jax.tree.leaves(results)), results

    (_, results), gradients = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
        params, xs, state
    )
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
    given = seqjax.unroll(
        recurrence, params, xs.swapaxes(0, 1), state, reset=reset.T, time_major=True, **options
    )
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
    assert_close(
        values_and_gradients(recurrence, *arguments, reverse=reverse, remat="sqrt"), wanted
    )


@each(RECURRENCES)
def test_an_empty_sequence_returns_the_given_state(recurrence):
    params, xs, state, lengths, reset = make_arguments(recurrence, (2,), 0)
    for options in (
        {},
        {"lengths": lengths, "reset": reset},
        {"remat": "sqrt"},
        {"rng": jax.random.key(0)},
    ):
        after, ys = seqjax.unroll(recurrence, params, xs, state, **options)
        assert_identical(after, state)
        assert ys.shape == (2, 0, recurrence.output_size(INPUT_SIZE))


@each(KINDS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_backend_gives_what_scan_gives(quick_compile, recurrence, reverse):
    arguments = make_arguments(recurrence, (3,), 6)
    wanted = values_and_gradients(recurrence, *arguments, reverse=reverse, backend="scan")
    assert_close(
        values_and_gradients(recurrence, *arguments, reverse=reverse, backend="auto"), wanted
    )


@each({name: RECURRENCES[name] for name in ("gru_after", "lru", "stack")})
def test_vmap_over_an_ensemble_of_params(quick_compile, recurrence):
    members, xs = [draw_params(recurrence, seed) for seed in range(3)], draw_inputs((2, 5))
    ensemble = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    given = jax.vmap(lambda params: seqjax.unroll(recurrence, params, xs))(ensemble)
    for index, params in enumerate(members):
        assert_close(
            jax.tree.map(lambda a, i=index: a[i], given), seqjax.unroll(recurrence, params, xs)
        )


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
    assert_identical(
        given, seqjax.unroll(cell, params, xs, lengths=np.array([3, 1]), reset=np.array(reset))
    )


def test_known_lengths_may_be_used_under_jit():
    cell = seqjax.GRU(4)
    params, xs, lengths = draw_params(cell), draw_inputs((2, 3)), jnp.array([3, 1])
    given = jax.jit(lambda xs: seqjax.unroll(cell, params, xs, lengths=lengths))(xs)
    assert_close(given, seqjax.unroll(cell, params, xs, lengths=lengths))


def test_a_key_may_be_given_in_its_old_form():
    cell = seqjax.dropout(seqjax.GRU(4), 0.5)
    params, xs = draw_params(cell), draw_inputs((2, 3))
    given, wanted = (
        seqjax.unroll(cell, params, xs, rng=rng)
        for rng in (jax.random.PRNGKey(3), jax.random.key(3))
    )
    assert_identical(given, wanted)


# Containers


LSTM = seqjax.stack(seqjax.LSTM(4), seqjax.LSTM(4))
LIKE_AN_LSTM_STATE = {
    "lists": lambda state: [[leaf for leaf in layer] for layer in state],
    "tuples": lambda state: tuple(tuple(layer) for layer in state),
    "names": lambda state: [{"c": layer.c, "h": layer.h} for layer in state],
    "numbers": lambda state: {str(index): layer._asdict() for index, layer in enumerate(state)},
    "numpy": lambda state: jax.tree.map(np.asarray, state),
}


@pytest.mark.parametrize("convert", LIKE_AN_LSTM_STATE.values(), ids=LIKE_AN_LSTM_STATE.keys())
def test_a_state_may_come_in_other_containers(unchecked, convert):
    params, xs, state = draw_params(LSTM), draw_inputs((2, 5)), draw_state(LSTM, (2,))
    wanted = seqjax.unroll(LSTM, params, xs, state)
    assert_identical(seqjax.unroll(LSTM, params, xs, convert(state)), wanted)
    cell, first = LSTM.layers[0], convert(state)
    first = first["0"] if isinstance(first, dict) else first[0]
    given = cell.step(params["layer_0"], first, jnp.asarray(xs[:, 0]))
    assert_identical(given, cell.step(params["layer_0"], state[0], jnp.asarray(xs[:, 0])))


@pytest.mark.parametrize(
    "wrong",
    [
        {"h": np.zeros(4), "d": np.zeros(4)},
        [np.zeros(4)],
        np.zeros((2, 4)),
        seqjax.BidirectionalState(0.0, 0.0),
    ],
)
def test_a_state_in_a_container_that_means_something_else_is_refused(unchecked, wrong):
    cell = seqjax.LSTM(4)
    with pytest.raises(ValueError, match=r"^state.*LSTM\(4\) on batch \(\)"):
        seqjax.unroll(cell, draw_params(cell), draw_inputs((5,)), wrong)


@pytest.mark.parametrize("wrap", ["params", "state"])
def test_params_of_nnx_are_params(unchecked, wrap):
    params, xs = draw_params(LSTM), draw_inputs((2, 5))
    wrapped = jax.tree.map(nnx.Param, params)
    wrapped = nnx.State(wrapped) if wrap == "state" else wrapped
    loss = lambda params: seqjax.unroll(LSTM, params, xs)[1].sum()  # noqa: E731
    assert_identical(seqjax.unroll(LSTM, wrapped, xs), seqjax.unroll(LSTM, params, xs))
    given, wanted = jax.grad(loss)(wrapped), jax.grad(loss)(params)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(given), jax.tree.leaves(wanted))
    cell, x = LSTM.layers[0], jnp.asarray(xs[:, 0])
    state = cell.initial_state({}, (2,), xs.dtype)
    assert_identical(
        cell.step(wrapped["layer_0"], state, x), cell.step(params["layer_0"], state, x)
    )


def test_traced_lengths_and_resets_may_stand_in_lists():
    cell = seqjax.GRU(4)
    params, xs, reset = draw_params(cell), draw_inputs((2, 3)), [[False, True, False], [False] * 3]
    compiled = jax.jit(
        lambda lengths, reset: seqjax.unroll(cell, params, xs, lengths=lengths, reset=reset)
    )
    assert_close(
        compiled([3, 1], reset), seqjax.unroll(cell, params, xs, lengths=[3, 1], reset=reset)
    )


def test_rows_may_stand_in_a_list():
    cell = seqjax.GRU(4)
    params, xs = draw_params(cell), draw_inputs((2, 3))
    assert_identical(seqjax.unroll(cell, params, list(xs)), seqjax.unroll(cell, params, xs))
    assert_identical(seqjax.unroll(cell, params, xs.tolist()), seqjax.unroll(cell, params, xs))


# Compilations and memory


@dataclasses.dataclass(frozen=True, repr=False)
class Asked(seqjax.LSTM):
    """An LSTM that counts how often it is asked for its shapes."""

    def initial_state(self, *args, **options):
        TRACES.append(self)
        return super().initial_state(*args, **options)


def test_what_was_looked_at_is_not_looked_at_again():
    cell = Asked(4)
    params, xs = draw_params(cell), draw_inputs((2, 1))
    state, _ = seqjax.unroll(cell, params, xs)
    state, _ = seqjax.unroll(cell, params, xs, state)
    TRACES.clear()
    state, _ = seqjax.unroll(cell, params, xs, state)
    assert not TRACES
    with pytest.raises(ValueError, match=r"batch \(1,\) wants \(1, 4\)"):
        seqjax.unroll(cell, params, xs[:1], state)


def test_no_array_is_kept_alive():
    cell = seqjax.GRU(4)
    xs = jnp.asarray(draw_inputs((2, 3)))
    params, state = jax.tree.map(jnp.copy, draw_params(cell)), jnp.copy(draw_state(cell, (2,)))
    seen = [weakref.ref(leaf) for leaf in jax.tree.leaves((params, state))]
    jax.block_until_ready(seqjax.unroll(cell, params, xs, state))
    cell.step(params, state, xs[:, 0])
    del params, state
    gc.collect()
    assert [ref() for ref in seen] == [None] * len(seen)


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
    stream = jax.jit(
        chex.assert_max_traces(lambda state, xs: seqjax.unroll(cell, params, xs, state), n=1)
    )
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
    "recurrence": (
        TypeError,
        {"recurrence": "gru"},
        r"recurrence is a str; give a seqjax.Recurrence",
    ),
    "class": (
        TypeError,
        {"recurrence": seqjax.GRU},
        r"recurrence is a type; give a seqjax.Recurrence",
    ),
    "rank": (
        ValueError,
        {"xs": np.ones(3)},
        r"xs has shape \(3,\); give \[\*batch, time, features\], at least two",
    ),
    "rank time-major": (
        ValueError,
        {"xs": np.ones(3), "time_major": True},
        r"give \[time, \*batch, features\]",
    ),
    "tokens": (
        TypeError,
        {"xs": np.ones((2, 5, 3), int)},
        r"xs is int32; give floating-point features .*embed",
    ),
    "features": (
        ValueError,
        {"xs": np.ones((2, 5, 7), np.float32)},
        r"params\['w_x'\] has shape \(3, 12\).*\(7, 12\)",
    ),
    "params missing": (
        ValueError,
        {"params": SHORT_PARAMS},
        r"params\['w_h'\] is missing; GRU\(4\) .*wants \(4, 12\)",
    ),
    "params extra": (
        ValueError,
        {"params": GOOD["params"] | {"w": 1.0}},
        r"params\['w'\] .*has no such entry",
    ),
    "params shape": (
        ValueError,
        {"params": draw_params(seqjax.GRU(5))},
        r"params\['b'\] has shape \(15,\).*\(12,\)",
    ),
    "state batch": (
        ValueError,
        {"state": jnp.zeros((3, 4))},
        r"state has shape \(3, 4\); .*batch \(2,\) wants \(2, 4\)",
    ),
    "state kind": (
        ValueError,
        {"state": (jnp.zeros((2, 4)),) * 2},
        r"state\[0\].*has no such entry|state is missing",
    ),
    "lengths dtype": (TypeError, {"lengths": np.ones(2)}, r"lengths are float\d+; give integers"),
    "lengths shape": (
        ValueError,
        {"lengths": np.ones(3, int)},
        r"lengths have shape \(3,\); the batch of xs is \(2,\)",
    ),
    "lengths scalar": (
        ValueError,
        {"lengths": 5},
        r"lengths have shape \(\); the batch of xs is \(2,\)",
    ),
    "length too long": (
        ValueError,
        {"lengths": np.array([5, 6])},
        r"a length is 6; the sequence has 5 steps",
    ),
    "length negative": (
        ValueError,
        {"lengths": np.array([-1, 5])},
        r"a length is -1; .* give lengths from 0 to 5",
    ),
    "reset dtype": (TypeError, {"reset": np.ones((2, 5))}, r"reset is float\d+; give booleans"),
    "reset shape": (
        ValueError,
        {"reset": np.ones((5, 2), bool)},
        r"reset has shape \(5, 2\); these xs want \(2, 5\)",
    ),
    "remat": (
        ValueError,
        {"remat": "all"},
        r"remat='all' is unknown; choose one of 'none', 'step', 'sqrt'",
    ),
    "backend": (
        ValueError,
        {"backend": "cuda"},
        r"backend='cuda' is unknown; choose one of 'auto', 'scan'",
    ),
    "rng": (TypeError, {"rng": 0}, r"rng is the number 0; give a key, rng=jax.random.key\(0\)"),
    "ragged": (
        ValueError,
        {"xs": [np.ones((3, 3)), np.ones((4, 3))]},
        r"xs is ragged: its 2 rows .* pad them",
    ),
    "ragged lists": (
        ValueError,
        {"xs": [[[1.0] * 3], [[1.0] * 2]]},
        r"xs is ragged: .* give their lengths",
    ),
    "ragged objects": (
        ValueError,
        {"xs": np.array([np.ones(3), np.ones(4)], object)},
        "xs is ragged",
    ),
    "state complex": (
        TypeError,
        {"state": jnp.zeros((2, 4), complex)},
        r"the state is complex64; GRU\(4\) remembers",
    ),
    "rng word": (
        TypeError,
        {"rng": "dropout"},
        r"rng is a str; give one key from jax.random.key\(seed\)",
    ),
    "rngs": (
        TypeError,
        {"rng": jax.random.split(jax.random.key(0), 3)},
        r"give one key from jax.random.key\(seed\)",
    ),
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
    with pytest.raises(
        ValueError, match=r"params\['layer_1'\]\['backward'\]\['b'\] has shape \(15,\).*\(16,\)"
    ):
        seqjax.unroll(recurrence, params, xs)

    wrong = (
        state[0],
        state[1]._replace(backward=seqjax.LSTMState(jnp.zeros((2, 4)), jnp.zeros((2, 5)))),
    )
    with pytest.raises(ValueError, match=r"state\[1\]\.backward\.c has shape \(2, 5\).*\(2, 4\)"):
        seqjax.unroll(recurrence, draw_params(recurrence), xs, wrong)


@each(RECURRENCES)
def test_a_wrong_number_of_features_is_never_accepted(unchecked, recurrence):
    with pytest.raises(ValueError, match=f"on inputs of {INPUT_SIZE + 1} features|make them equal"):
        seqjax.unroll(
            recurrence, draw_params(recurrence), np.ones((2, 5, INPUT_SIZE + 1), np.float32)
        )


@each({name: r for name, r in RECURRENCES.items() if r.causal})
def test_a_wrong_number_of_features_is_never_accepted_by_step(unchecked, recurrence):
    params = draw_params(recurrence)
    with pytest.raises((ValueError, TypeError)):
        recurrence.step(params, draw_state(recurrence, (2,)), jnp.ones((2, INPUT_SIZE + 1)))


WRONG_STEPS = {
    "integer x": (
        TypeError,
        {"x": jnp.ones((2, 3), int)},
        "x is int32; give floating-point features",
    ),
    "boolean x": (
        TypeError,
        {"x": jnp.ones((2, 3), bool)},
        "x is bool; give floating-point features",
    ),
    "features": (ValueError, {"x": jnp.ones((2, 5))}, "on inputs of 5 features|params"),
    "one row of state": (
        ValueError,
        {"state": lambda state: jax.tree.map(lambda a: a[:1], state)},
        "state.*batch",
    ),
    "another batch": (ValueError, {"x": jnp.ones((5, 3))}, "state"),
    "no batch": (ValueError, {"x": jnp.ones(3)}, "state"),
    "units": (
        ValueError,
        {"state": lambda state: jax.tree.map(lambda a: a[..., :1], state)},
        "state",
    ),
}


@each({name: r for name, r in RECURRENCES.items() if r.causal})
@pytest.mark.parametrize(
    ("error", "change", "message"), WRONG_STEPS.values(), ids=WRONG_STEPS.keys()
)
def test_step_refuses_what_unroll_refuses(unchecked, recurrence, error, change, message):
    params, state = draw_params(recurrence), draw_state(recurrence, (2,))
    state = change.get("state", lambda state: state)(state)
    x = change.get("x", jnp.ones((2, INPUT_SIZE)))
    with pytest.raises(error):
        seqjax.unroll(recurrence, params, x[..., None, :], state)
    with pytest.raises(error, match=message):
        recurrence.step(params, state, x)


@pytest.mark.parametrize(
    "state", [(), (jnp.zeros((2, 4)),), [jnp.zeros((2, 4))] * 3, jnp.zeros((2, 4))]
)
def test_a_stack_steps_with_one_state_for_each_layer(unchecked, state):
    net = seqjax.stack(seqjax.GRU(4), seqjax.GRU(4))
    with pytest.raises(ValueError, match="wants a tuple of 2 states"):
        net.step(draw_params(net), state, jnp.ones((2, 3)))


def test_a_step_takes_whole_numbers_for_a_state_as_unroll_does(unchecked):
    cell = seqjax.GRU(4)
    params, x, zeros = draw_params(cell), jnp.ones((2, 3)), np.zeros((2, 4), int)
    assert_close(cell.step(params, zeros, x)[0], seqjax.unroll(cell, params, x[:, None], zeros)[0])


def test_a_subclass_may_hand_a_part_of_its_params_to_the_step_of_its_base(unchecked):
    @dataclasses.dataclass(frozen=True, repr=False)
    class Scaled(seqjax.GRU):
        def init(self, key, input_size):
            return {"gru": super().init(key, input_size), "scale": jnp.ones(())}

        def step(self, params, state, x, *, rng=None):
            state, y = super().step(params["gru"], state, x)
            return state, params["scale"] * y

    cell = Scaled(4)
    _, y = cell.step(cell.init(jax.random.key(0), 3), jnp.zeros((2, 4)), jnp.ones((2, 3)))
    assert y.shape == (2, 4)


@pytest.mark.parametrize(
    "name",
    [
        "elman_tanh",
        "lstm",
        "gru_after",
        "lru",
        "min_gru",
        "min_lstm",
        "slstm",
        "mlstm",
        "rglru",
        "indrnn",
        "mgu",
        "stack",
        "bidirectional_sum",
        "gated_lru",
    ],
)
def test_a_seed_is_no_key(unchecked, name):
    with pytest.raises(
        TypeError, match=r"key is the number 7; give a key, key=jax.random.key\(7\)"
    ):
        RECURRENCES[name].init(7, INPUT_SIZE)


@each(STOCHASTIC)
def test_a_seed_is_no_key_for_a_step(unchecked, recurrence):
    with pytest.raises(TypeError, match="rng is the number 7"):
        recurrence.step(
            draw_params(recurrence), draw_state(recurrence, (2,)), jnp.ones((2, INPUT_SIZE)), rng=7
        )


def test_passes_that_do_not_fit_are_told_in_words(unchecked):
    cell = seqjax.GRU(4)
    how = seqjax.Pass(reset=jnp.zeros((4, 2), bool), backend="scan")
    with pytest.raises(ValueError, match="xs have 5 steps; a reset or the keys have shape"):
        cell.scan(draw_params(cell), jnp.ones((5, 2, 3)), jnp.zeros((2, 4)), how)
