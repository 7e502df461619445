"""Recurrences in ONNX, under ONNX Runtime, against `backend="scan"`."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import seqjax
from seqjax import interop
from tests.interop.running import named, run, session
from tests.recurrences import (
    INPUT_SIZE,
    RECURRENCES,
    draw_inputs,
    draw_params,
    draw_state,
    each,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

TIME = 5
KNOWN = {
    name: recurrence
    for name, recurrence in RECURRENCES.items()
    if not name.startswith(("learned_", "return_states", "stack_skip", "block", "slstm", "mlstm"))
}
"""All but the cells and combinators that `interop` refuses."""


def close(given, wanted):
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)


def whole(opened, recurrence, params, lengths, time=TIME, seed=0):
    """Runs a batch with NaN in the padding and a state in the middle of a sequence."""
    batch = len(lengths)
    lengths = np.asarray(lengths, np.int32)
    xs = draw_inputs((batch, time), seed)
    xs[np.arange(time) >= lengths[:, None]] = np.nan
    state = draw_state(recurrence, (batch,), seed)
    found = run(opened, {"xs": xs, "lengths": lengths, **named(state)})
    after, ys = seqjax.unroll(recurrence, params, xs, state, lengths=lengths, backend="scan")
    close(found.pop("ys"), ys)
    wanted = named(after, "next")
    assert list(found) == list(wanted)
    for name, leaf in wanted.items():
        close(found[name], leaf)


@each(KNOWN)
def test_a_whole_sequence_says_what_unroll_says(recurrence, tmp_path):
    params = draw_params(recurrence)
    interop.onnx.save((recurrence, params), tmp_path / "net.onnx")
    opened = session(tmp_path / "net.onnx")
    whole(opened, recurrence, params, (0, 1, TIME))
    whole(opened, recurrence, params, (1,), time=1)


@each({name: r for name, r in KNOWN.items() if r.causal})
def test_steps_say_what_the_whole_says(recurrence, tmp_path):
    params = draw_params(recurrence)
    interop.onnx.save((recurrence, params), tmp_path / "step.onnx", step=True)
    opened = session(tmp_path / "step.onnx")
    xs, state = draw_inputs((2, 3)), draw_state(recurrence, (2,))
    found = named(state)
    ys = []
    for t in range(3):
        after = run(opened, {"xs": xs[:, t], **found})
        ys.append(after.pop("ys"))
        found = {name.replace("next", "state"): leaf for name, leaf in after.items()}
    state, wanted = seqjax.unroll(recurrence, params, xs, state, backend="scan")
    close(np.stack(ys, 1), wanted)
    for name, leaf in named(state).items():
        close(found[name], leaf)


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    net = seqjax.bidirectional(seqjax.LSTM(4, peephole=True, coupled=True), seqjax.GRU(4))
    params = draw_params(net)
    path = tmp_path_factory.mktemp("both") / "net.onnx"
    interop.onnx.save((net, params), path)
    return session(path), net, params


@hypothesis.given(st.data())
def test_batch_time_and_lengths_are_open(both_ways, data):
    time = data.draw(st.integers(1, 9))
    lengths = data.draw(st.lists(st.integers(0, time), min_size=1, max_size=4))
    whole(*both_ways, lengths, time, seed=len(lengths))


def test_lengths_out_of_range_are_clamped(both_ways):
    opened, net, params = both_ways
    xs = draw_inputs((2, TIME))
    state = named(draw_state(net, (2,)))
    wide = run(opened, {"xs": xs, "lengths": np.array([-3, 99], np.int32), **state})
    exact = run(opened, {"xs": xs, "lengths": np.array([0, TIME], np.int32), **state})
    for name, leaf in exact.items():
        np.testing.assert_array_equal(wide[name], leaf)


def test_operators_are_used_where_onnx_has_them(tmp_path):
    import onnx

    def operators(net, **options):
        interop.onnx.save((net, draw_params(net)), tmp_path / "net.onnx", **options)
        return {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}

    net = seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4), seqjax.Elman(4))
    for step in (False, True):
        assert {"LSTM", "GRU", "RNN"} <= operators(net, step=step)
    assert "Scan" in operators(seqjax.LSTM(4, projection_size=2))
    assert not operators(seqjax.LSTM(4, layer_norm=True), step=True) & {"Scan", "LSTM"}


def test_the_file_says_what_it_is(tmp_path):
    net = seqjax.GRU(4)
    interop.onnx.save((net, draw_params(net)), tmp_path / "net.onnx", step=True)
    opened = session(tmp_path / "net.onnx")
    about = opened.get_modelmeta().custom_metadata_map
    assert about == {"seqjax": "Recurrent", "step": "1", "weights": "float32"}
    assert [put.shape for put in opened.get_inputs()] == [["batch", INPUT_SIZE], ["batch", 4]]
    assert [put.name for put in opened.get_outputs()] == ["ys", "next_0"]


class Mine(seqjax.GRU):
    def step(self, params, state, x, *, rng=None):
        return state, x


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ((seqjax.bidirectional(seqjax.GRU(2)), None), {"step": True}, "has no step.*step=False"),
        ((Mine(2), None), {}, "knows no Mine.*stablehlo"),
        ((seqjax.MLSTM(2), None), {}, "knows no MLSTM.*stablehlo"),
        ((seqjax.GRU(2), None), {"weights": "int4"}, "int4.*'float32', 'int8'"),
        (("net", {}), {}, "a str cannot be exported; known are AcousticModel"),
        (7, {}, "a int cannot be exported; give a seqjax.Trained"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(given, options, words, tmp_path, unchecked):
    if isinstance(given, tuple) and given[1] is None:
        given = (given[0], draw_params(given[0]))
    with pytest.raises((TypeError, ValueError), match=words) as told:
        interop.onnx.save(given, tmp_path / "net.onnx", **options)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())
