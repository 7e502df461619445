"""The walk over a recurrence and its parameters."""

import jax
import numpy as np
import pytest

import seqjax
from seqjax import interop
from seqjax.interop.layers import assemble, levels
from tests.interop.golden import drawn, same

pytestmark = pytest.mark.usefixtures("quick_compile")

both = seqjax.bidirectional(seqjax.GRU(4), seqjax.GRU(4), merge="mean")
NETS = (
    seqjax.LSTM(4, peephole=True),
    both,
    seqjax.stack(both, seqjax.LSTM(4, projection_size=2), seqjax.Elman(5)),
    seqjax.stack(seqjax.GRU(4), seqjax.residual(seqjax.gated(seqjax.LSTM(4)))),
    seqjax.stack(seqjax.zoneout(seqjax.LSTM(4), 0.1, 0.3), seqjax.LSTM(4)),
)


@pytest.mark.parametrize("net", NETS, ids=str)
def test_levels_and_assemble_undo_each_other(net):
    params = drawn(net)
    again, back = assemble(levels(net, params))
    assert again == net
    same(back, jax.tree.map(jax.numpy.asarray, params))


def test_dropout_and_nested_stacks_are_flattened():
    net = seqjax.stack(seqjax.stack(seqjax.GRU(4), seqjax.GRU(4)), seqjax.GRU(4), dropout=0.3)
    found = levels(net, drawn(net))
    assert [level.path for level in found] == ["layer_0/layer_0", "layer_0/layer_1", "layer_1"]
    assert all(level.cells == (seqjax.GRU(4),) for level in found)


pair = seqjax.stack(seqjax.GRU(4), seqjax.GRU(4))
ANOTHER = "is another network, to be trained anew"
REFUSED = (
    (seqjax.bidirectional(pair), f"forward: Bidirectional stands around 2 layers.*{ANOTHER}"),
    (seqjax.residual(pair), f"Residual stands around 2 layers.*{ANOTHER}"),
    (seqjax.gated(pair), r"inner: Gated stands around 2 layers.*stack\(a, gated\(b\)\) computes"),
    (
        seqjax.bidirectional(seqjax.zoneout(seqjax.GRU(4), 0.1)),
        "forward: Bidirectional stands around a zoneout; .* seqjax.interop.stablehlo.save writes",
    ),
    (seqjax.gated(both), "inner: Gated stands around a second direction"),
)


@pytest.mark.parametrize("net, message", REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_no_pile_of_cells_is_refused(net, message):
    with pytest.raises(ValueError, match=message):
        levels(net, net.init(jax.random.key(0), 4))


def test_what_the_messages_say_is_true(getkey, tmp_path, unchecked):
    xs, params = jax.random.normal(getkey(), (2, 5, 4)), seqjax.gated(pair).init(getkey(), 4)
    expected = seqjax.unroll(seqjax.gated(pair), params, xs)[1]
    inner, gate = params["inner"], {"w": params["w"], "b": params["b"]}
    apart = {"layer_0": inner["layer_0"], "layer_1": {"inner": inner["layer_1"], **gate}}
    net = seqjax.stack(seqjax.GRU(4), seqjax.gated(seqjax.GRU(4)))
    np.testing.assert_allclose(seqjax.unroll(net, apart, xs)[1], expected, atol=1e-6)
    net = seqjax.bidirectional(seqjax.zoneout(seqjax.GRU(4), 0.1))
    interop.stablehlo.save((net, net.init(getkey(), 4)), tmp_path / "net.jax", platforms=("cpu",))


def test_dropped_weights_are_the_weights():
    net = seqjax.stack(seqjax.weight_drop(seqjax.LSTM(4), 0.5), seqjax.GRU(4))
    plain = seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4))
    params = drawn(net)
    assert str(levels(net, params)) == str(levels(plain, params))


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (seqjax.learn_initial_state, "layer_1: .*save the recurrence inside with params"),
        (seqjax.return_states, "layer_1: .*save the recurrence inside, which has the same params"),
        (seqjax.skip, "layer_1: .*stablehlo.save"),
    ],
)
def test_what_no_other_format_knows_is_refused_with_the_way_out(wrap, words):
    net = seqjax.stack(seqjax.GRU(4), wrap(seqjax.GRU(4)))
    with pytest.raises(ValueError, match=words):
        levels(net, drawn(net))


def test_parameters_of_another_network_are_refused():
    net = seqjax.stack(seqjax.GRU(4), seqjax.GRU(4))
    with pytest.raises(ValueError, match="params have no 'layer_1'; give the parameters of"):
        levels(net, {"layer_0": drawn(seqjax.GRU(4))})


def test_layers_that_do_not_fit_each_other_are_refused():
    one = levels(seqjax.GRU(4), drawn(seqjax.GRU(4)))
    with pytest.raises(ValueError, match="x.h5: .* reads 3 features, and the layer before it"):
        assemble([*one, *one], "x.h5")
