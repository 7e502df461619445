"""Weights of Linen's and NNX's cells, both ways."""

import jax
import numpy as np
import pytest
from flax import nnx

import seqjax
from seqjax import interop
from tests.interop.golden import FOLDER, drawn, entries, gives, nested, read, same

pytestmark = pytest.mark.usefixtures("quick_compile")

FILES = sorted(path.name for path in FOLDER.glob("flax_*.npz"))
CELLS = {"lstm": seqjax.LSTM, "optimized": seqjax.LSTM, "gru": seqjax.GRU, "simple": seqjax.Elman}
LIKE = {"linen": "linen", "nnx": "nnx", "nnx_lstm": "nnx.LSTMCell"}


def network(name):
    """The network that a file describes, and what its cells are saved like."""
    _, family, kind, shape = name.removesuffix(".npz").split("_")
    cell = CELLS[kind]
    both = seqjax.bidirectional(cell(4))
    net = {"one": cell(4), "both": both, "two": seqjax.stack(both, cell(5))}[shape]
    return net, LIKE.get(f"{family}_{kind}", LIKE[family])


def order(name):
    """The paths of a stack's cells."""
    if not name.endswith("_two.npz"):
        return None
    return [("first/forward_rnn/cell", "first/backward_rnn/cell"), "second/cell"]


def test_the_files_are_there():
    assert len(FILES) == 24


@pytest.mark.parametrize("name", FILES)
def test_outputs_of_flax(name):
    golden = read(name)
    net, params = interop.flax.load(nested(entries(golden)), order(name))
    assert net == network(name)[0]
    gives(net, params, golden["x"], golden["y"])


@pytest.mark.parametrize("name", [name for name in FILES if "_one" in name or "_both" in name])
def test_a_saved_cell_has_its_names_and_values(name):
    golden, like = nested(entries(read(name))), network(name)[1]
    saved = interop.flax.save(*interop.flax.load(golden), like=like)
    if name.endswith("_both.npz"):
        saved = {f"{way}_rnn": {"cell": cell} for way, cell in saved.items()}
    else:
        saved = {"cell": saved}
    same(saved, golden)


@pytest.mark.parametrize("like", ["linen", "nnx", "nnx.LSTMCell"])
def test_what_is_saved_is_loaded(like):
    both = seqjax.bidirectional(seqjax.LSTM(4))
    net = seqjax.stack(both, seqjax.LSTM(5), seqjax.Elman(4), *[seqjax.LSTM(4)] * 9)
    params = drawn(net)
    again, back = interop.flax.load(interop.flax.save(net, params, like=like))
    assert again == net
    same(back, params)


def test_variables_states_and_modules():
    cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
    wanted = interop.flax.load(nnx.to_pure_dict(nnx.state(cell, nnx.Param)))[1]
    for given in (cell, nnx.state(cell), nnx.state(cell, nnx.Param)):
        same(interop.flax.load(given)[1], wanted)
    golden = {"params": nested(entries(read("flax_linen_gru_one.npz"))), "cache": {}}
    net, params = interop.flax.load(golden, ["cell"])
    same(params, interop.flax.load(golden)[1])
    same(interop.flax.save(net, params), golden["params"]["cell"])


def test_nnx_holds_a_gru_without_b_n():
    params = drawn(seqjax.GRU(4)) | {"b_n": np.zeros(4, np.float32)}
    saved = interop.flax.save(seqjax.GRU(4), params, like="nnx")
    same(interop.flax.load(saved)[1], params)


def test_the_order_of_several_cells_must_be_said():
    cell = nested(entries(read("flax_linen_gru_one.npz")))["cell"]
    variables = {"params": {f"GRUCell_{index}": cell for index in (0, 10, 9)}}
    with pytest.raises(ValueError, match=r"GRUCell_0, GRUCell_9, GRUCell_10; name them in order"):
        interop.flax.load(variables)
    with pytest.raises(ValueError, match="no cell 'GRUCell_1'; there are GRUCell_0, GRUCell_9"):
        interop.flax.load(variables, ["GRUCell_0", "GRUCell_1"])
    net, _ = interop.flax.load(variables, [("GRUCell_0", "GRUCell_9")])
    assert net == seqjax.bidirectional(seqjax.GRU(4))
    with pytest.raises(ValueError, match="layer_1 reads 3 features, and the layer before it gives"):
        interop.flax.load(variables, ["GRUCell_0", "GRUCell_9"])


def test_damaged_variables():
    cell = nested(entries(read("flax_linen_lstm_one.npz")))
    with pytest.raises(ValueError, match="no recurrent cell"):
        interop.flax.load({"Dense_0": {"kernel": np.ones((3, 3))}})
    cell["cell"]["if"] = {}
    with pytest.raises(ValueError, match=r"variables: cell: if/kernel is missing; wanted \[3, 4\]"):
        interop.flax.load(cell)
    cell["cell"]["if"] = {"kernel": np.ones((2, 4), np.float32)}
    with pytest.raises(ValueError, match=r"if/kernel is \[2, 4\]; wanted \[3, 4\]"):
        interop.flax.load(cell)
    fused = interop.flax.save(seqjax.LSTM(4), drawn(seqjax.LSTM(4)), like="nnx")
    fused["dense_h"]["kernel"] = np.ones((4, 14), np.float32)
    with pytest.raises(ValueError, match="dense_h/kernel has 14 sums for 4 units"):
        interop.flax.load(fused)


def test_an_unknown_form(unchecked):
    with pytest.raises(ValueError, match="like='GRUCell' is unknown; choose one of linen, nnx"):
        interop.flax.save(seqjax.LSTM(4), drawn(seqjax.LSTM(4)), like="GRUCell")


def test_parameters_are_jax_arrays():
    params = interop.flax.load(nested(entries(read("flax_nnx_gru_one.npz"))))[1]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
