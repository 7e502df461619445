"""Weights of Equinox's cells, both ways."""

import dataclasses

import jax
import numpy as np
import pytest

import seqjax
from seqjax import interop
from tests.interop.golden import drawn, entries, gives, nested, read, same

pytestmark = pytest.mark.usefixtures("quick_compile")

KINDS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU}
FILES = ("equinox_lstm", "equinox_lstm_bare", "equinox_gru", "equinox_gru_bare")
LAYERS = [("forward", "backward"), "second"]


@dataclasses.dataclass
class Cell:
    """A module as Equinox makes them: a pytree whose leaves are attributes."""

    weight_ih: object
    weight_hh: object
    bias: object
    bias_n: object = None


jax.tree_util.register_dataclass(
    Cell, data_fields=["weight_ih", "weight_hh", "bias", "bias_n"], meta_fields=[]
)


@pytest.mark.parametrize("name", FILES)
def test_outputs_of_equinox(name):
    golden = read(f"{name}.npz")
    cells, kind = nested(entries(golden)), KINDS[name.split("_")[1]]
    both = seqjax.bidirectional(kind(4))
    wanted = {
        "y_one": (kind(4), interop.equinox.load(cells["forward"])),
        "y_both": (both, interop.equinox.load(cells, [("forward", "backward")])),
        "y_two": (seqjax.stack(both, kind(5)), interop.equinox.load(cells, LAYERS)),
    }
    for key, (expected, (net, params)) in wanted.items():
        assert net == expected
        gives(net, params, golden["x"], golden[key])


@pytest.mark.parametrize("name", ["equinox_lstm", "equinox_gru"])
def test_a_saved_cell_has_its_names_and_values(name):
    golden = nested(entries(read(f"{name}.npz")))
    net, params = interop.equinox.load(golden, LAYERS)
    saved = interop.equinox.save(net, params)
    same(saved["layer_0"] | {"second": saved["layer_1"]}, golden)
    again, back = interop.equinox.load(saved)
    assert again == net
    same(back, params)


def test_modules_are_read_and_filled():
    golden = nested(entries(read("equinox_gru.npz")))
    empty = [Cell(**jax.tree.map(np.zeros_like, golden[name])) for name in ("forward", "second")]
    net, params = interop.equinox.load(golden["forward"])
    filled = interop.equinox.save(net, params, into=empty, layers=["0"])
    same(dataclasses.asdict(filled[0]), golden["forward"])
    same(dataclasses.asdict(filled[1]), dataclasses.asdict(empty[1]))
    same(interop.equinox.load(filled, ["0"])[1], params)


def test_a_module_of_other_sizes_is_not_filled():
    net, params = seqjax.LSTM(4), drawn(seqjax.LSTM(4))
    cells = nested(entries(read("equinox_lstm.npz")))
    with pytest.raises(ValueError, match=r"weight_ih is \[20, 8\]; wanted \[16, 3\]"):
        interop.equinox.save(net, params, into=cells["second"])
    with pytest.raises(ValueError, match="into has 2 layers"):
        interop.equinox.save(net, params, into=cells, layers=["forward", "second"])
    bare = nested(entries(read("equinox_lstm_bare.npz")))["forward"]
    with pytest.raises(ValueError, match=r"bias is missing; wanted \[16\]"):
        interop.equinox.save(net, params, into=bare)
    no_bias = params | {"b": np.zeros(16, np.float32)}
    assert set(interop.equinox.save(net, no_bias, into=bare)) == {"weight_ih", "weight_hh"}


def test_damaged_models():
    with pytest.raises(ValueError, match="model: no recurrent cell"):
        interop.equinox.load({"weight": np.ones((3, 3))})
    cell = {"weight_hh": np.ones((4, 4), np.float32), "weight_ih": np.ones((4, 3), np.float32)}
    with pytest.raises(ValueError, match="Equinox has no simple RNN cell"):
        interop.equinox.load(cell)
    cell = nested(entries(read("equinox_gru.npz")))["forward"]
    with pytest.raises(ValueError, match=r"bias_n is missing; wanted \[4\] for a GRU of 4 units"):
        interop.equinox.load({name: a for name, a in cell.items() if name != "bias_n"})
