"""Weights of Haiku's cells, both ways."""

import numpy as np
import pytest

import seqjax
from seqjax import interop
from tests.interop.golden import FOLDER, drawn, entries, gives, read, same

pytestmark = pytest.mark.usefixtures("quick_compile")

FILES = sorted(path.name for path in FOLDER.glob("haiku_*.npz"))
MODULES = {"lstm": "lstm", "gru": "gru", "vanilla": "vanilla_rnn"}


def modules(golden):
    """Haiku's parameters: arrays by module, with slashes in its name."""
    params = {}
    for path, array in entries(golden).items():
        module, _, name = path.rpartition("/")
        params.setdefault(module, {})[name] = array
    return params


def order(name):
    kind = name.split("_")[1]
    return [MODULES[kind], f"{MODULES[kind]}_1"] if "2layer" in name else None


def cells(name):
    kind = name.split("_")[1]
    make = {
        "lstm": seqjax.LSTM,
        "gru": lambda size: seqjax.GRU(size, reset="before"),
        "vanilla": lambda size: seqjax.Elman(size, activation="relu"),
    }[kind]
    return seqjax.stack(make(4), make(5)) if "2layer" in name else make(4)


def test_the_files_are_there():
    assert len(FILES) == 8


@pytest.mark.parametrize("name", FILES)
def test_outputs_of_haiku(name):
    golden = read(name)
    net, params = interop.haiku.load(modules(golden), order(name))
    assert net == cells(name)
    gives(net, params, golden["x"], golden["y"], time_major=True)


@pytest.mark.parametrize("name", [name for name in FILES if "one_bias" not in name])
def test_a_saved_cell_has_its_names_and_values(name):
    golden = modules(read(name))
    saved = interop.haiku.save(*interop.haiku.load(golden, order(name)))
    if "vanilla" not in name:
        # 1 is added to the LSTM's f and taken away again, in float32.
        same(saved, golden, 1e-6)
        return
    # Two biases become one and a zero.
    assert {module: sorted(saved[module]) for module in saved} == {
        module: sorted(golden[module]) for module in golden
    }
    for module in ("vanilla_rnn/linear", "vanilla_rnn/linear_1"):
        np.testing.assert_array_equal(saved[module]["w"], golden[module]["w"])


@pytest.mark.parametrize("name", ["haiku_lstm_2layer.npz", "haiku_gru_2layer.npz"])
def test_what_is_saved_is_loaded(name):
    net = cells(name)
    params = drawn(net)
    again, back = interop.haiku.load(interop.haiku.save(net, params), order(name))
    assert again == net
    if "gru" in name:
        # The two biases of the candidate add up outside the reset product.
        for layer in params.values():
            layer["b"][-len(layer["b_n"]) :] += layer["b_n"]
            layer["b_n"] = np.zeros_like(layer["b_n"])
    same(back, params, 1e-6)


def test_modules_inside_others_and_of_other_names():
    golden = modules(read("haiku_lstm_1layer.npz"))["lstm/linear"]
    wanted = interop.haiku.load({"lstm/linear": golden})[1]
    same(interop.haiku.load({"encoder/~/lstm/linear": golden, "head": {}})[1], wanted)
    same(interop.haiku.load({"memory/linear": golden}, ["memory"])[1], wanted)
    with pytest.raises(ValueError, match="params: no recurrent cell"):
        interop.haiku.load({"memory/linear": golden})


def test_damaged_parameters():
    with pytest.raises(
        ValueError, match=r"lstm/linear/w is \[3, 16\]; wanted \[inputs \+ H, 4 H\]"
    ):
        interop.haiku.load({"lstm/linear": {"w": np.ones((3, 16), np.float32)}})
    gru = {"w_i": np.ones((3, 12), np.float32), "w_h": np.ones((4, 9), np.float32)}
    with pytest.raises(ValueError, match=r"gru: w_h is \[4, 9\]; wanted \[4, 12\]"):
        interop.haiku.load({"gru": gru})
