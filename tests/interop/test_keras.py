"""Weights of Keras, both ways."""

import io
import json
import sys
import zipfile

import h5py
import numpy as np
import pytest

import seqjax
from seqjax import interop
from tests.interop.golden import FOLDER, drawn, gives, read, same

pytestmark = pytest.mark.usefixtures("quick_compile")

lstm, gru, relu = seqjax.LSTM(4), seqjax.GRU(4), seqjax.Elman(4, activation="relu")
before = seqjax.GRU(4, reset="before")
both = seqjax.bidirectional


def keras_file(name):
    return FOLDER / f"keras_{name}.keras"


def weights_of(name, folder):
    """The weights of a model as Keras' `save_weights` writes them: the very file inside .keras."""
    path = folder / f"{name}.weights.h5"
    path.write_bytes(zipfile.ZipFile(keras_file(name)).read("model.weights.h5"))
    return path


MODELS = {
    "lstm": seqjax.stack(both(lstm), seqjax.LSTM(5)),
    "gru": seqjax.stack(gru, both(before, merge="sum")),
    "simple": seqjax.stack(relu, both(seqjax.Elman(4), merge="mean")),
    "cells": seqjax.stack(
        seqjax.stack(lstm, gru), both(seqjax.stack(seqjax.GRU(4), seqjax.GRU(5)))
    ),
    "bare": seqjax.stack(lstm, before),
}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_of_whole_models(name):
    golden = read(f"keras_{name}.npz")
    net, params = interop.keras.load(keras_file(name))
    assert net == MODELS[name]
    gives(net, params, golden["x"], golden["y"])


LAYERS = {
    ("lstm", "both_ways"): (both(lstm), {}),
    ("gru", "gru"): (gru, {}),
    ("gru", ("gru", "bidirectional")): (MODELS["gru"], {"merge": "sum"}),
    ("simple", "simple_rnn"): (relu, {"activation": "relu"}),
    ("apart", "low"): (lstm, {}),
}


@pytest.mark.parametrize(("name", "layer"), LAYERS, ids=str)
def test_layers_by_name_with_settings_and_without(name, layer, tmp_path):
    golden, (net, options) = read(f"keras_{name}.npz"), LAYERS[name, layer]
    for path, given in ((keras_file(name), {}), (weights_of(name, tmp_path), options)):
        found, params = interop.keras.load(path, layer, **given)
        assert found == net
        gives(found, params, golden["x"], golden["y" if isinstance(layer, tuple) else "y_0"])


def test_a_layer_that_reads_backwards(tmp_path):
    golden = read("keras_apart.npz")
    with pytest.raises(ValueError, match="high: go_backwards=True; load it with reverse=True"):
        interop.keras.load(keras_file("apart"), "high")
    net, params = interop.keras.load(keras_file("apart"), "high", reverse=True)
    # Keras leaves the outputs in the order in which it read.
    gives(net, params, golden["y_1"], golden["y_2"][:, ::-1], reverse=True)


# The order of several layers, which a file of weights does not say, is given by their names.
NETS = {
    lstm: None,
    relu: None,
    seqjax.stack(gru, gru): ["gru", "gru_1"],
    seqjax.stack(both(lstm), lstm, both(seqjax.GRU(4), lstm), gru): [
        "bidirectional",
        "lstm",
        "bidirectional_1",
        "gru",
    ],
}


@pytest.mark.parametrize("net", NETS, ids=str)
def test_what_is_saved_is_loaded(net, tmp_path):
    params, path = drawn(net), tmp_path / "x.weights.h5"
    interop.keras.save(net, params, path)
    again, back = interop.keras.load(path, NETS[net], activation="relu")
    assert again == net
    same(back, params)


def arrays_of(data):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("name", ["lstm", "gru", "simple"])
def test_a_saved_model_has_its_names_and_values(name, tmp_path):
    golden = arrays_of(weights_of(name, tmp_path).read_bytes())
    interop.keras.save(*interop.keras.load(keras_file(name)), tmp_path / "x.weights.h5")
    saved = arrays_of((tmp_path / "x.weights.h5").read_bytes())
    golden = {key: array for key, array in golden.items() if "seed_generator" not in key}
    assert set(saved) == set(golden)
    for key, array in golden.items():
        if array.ndim == 2 and key.endswith("/2"):
            # The two biases of r and z become their sum.
            array = np.stack([array[0] + array[1], np.zeros(12)])
            array[:, 8:] = golden[key][:, 8:]
        np.testing.assert_allclose(saved[key], array, rtol=1e-6, atol=1e-6)


def test_layers_that_are_not_there():
    with pytest.raises(ValueError, match="0 recurrent layers 'lstm_9'; found both_ways, second"):
        interop.keras.load(keras_file("lstm"), "lstm_9")
    with pytest.raises(
        ValueError, match="layer= is wanted, in order where several; found low, high"
    ):
        interop.keras.load(keras_file("apart"))


def test_what_a_file_of_weights_does_not_say(tmp_path):
    with pytest.raises(ValueError, match="layer= is wanted"):
        interop.keras.load(weights_of("lstm", tmp_path))
    with pytest.raises(ValueError, match="a GRU without biases; say reset='after' or 'before'"):
        interop.keras.load(weights_of("bare", tmp_path), "gru")
    net, _ = interop.keras.load(weights_of("bare", tmp_path), "gru", reset="before")
    assert net == before
    with pytest.raises(ValueError, match="the bias is one of reset='after', not 'before'"):
        interop.keras.load(weights_of("gru", tmp_path), "gru", reset="before")
    with pytest.raises(ValueError, match="rnn has cells gru_cell, lstm_cell in an order that"):
        interop.keras.load(weights_of("cells", tmp_path), "rnn")


def with_setting(name, folder, **settings):
    """A model whose first recurrent layer has other settings."""
    archive = zipfile.ZipFile(keras_file(name))
    config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1]["config"].update(settings)
    with zipfile.ZipFile(folder / "x.keras", "w") as changed:
        changed.writestr("config.json", json.dumps(config))
        changed.writestr("model.weights.h5", archive.read("model.weights.h5"))
    return folder / "x.keras"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("gru", {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation='hard_sigmoid'"),
        ("bare", {"activation": "relu"}, "LSTM of activation='relu'; seqjax has tanh"),
        ("simple", {"activation": "gelu"}, "SimpleRNN of activation='gelu'; seqjax has tanh and"),
        ("lstm", {"merge_mode": "mul"}, "merge_mode='mul'; seqjax has concat, sum, ave"),
        ("lstm", {"merge_mode": None}, "merge_mode=None"),
    ],
)
def test_what_seqjax_does_not_compute(name, settings, said, tmp_path):
    with pytest.raises(ValueError) as error:
        interop.keras.load(with_setting(name, tmp_path, **settings))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_damaged_files(tmp_path):
    path = tmp_path / "x.weights.h5"
    with pytest.raises(ValueError, match="no such file"):
        interop.keras.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no file of Keras, or a damaged one"):
        interop.keras.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "")
    with pytest.raises(ValueError, match="no .keras file, or a damaged one"):
        interop.keras.load(path)
    write(path, **{"layers/dense/vars/0": (3, 3)})
    with pytest.raises(ValueError, match="found no recurrent layer at all"):
        interop.keras.load(path)
    write(path, **{"layers/lstm/cell/vars/0": (3, 16), "layers/lstm/cell/vars/1": (4, 15)})
    with pytest.raises(ValueError, match="lstm/cell/vars: 1 has 15 sums for 4 units"):
        interop.keras.load(path)
    write(path, **{"layers/lstm/cell/vars/0": (3, 16)})
    with pytest.raises(ValueError, match=r"lstm/cell/vars: 1 is missing; wanted \[any, any\]"):
        interop.keras.load(path)
    write(path, **{"model_weights/lstm/kernel": (3, 16)})
    with pytest.raises(ValueError, match="a file of Keras 2; load it in Keras and save it as"):
        interop.keras.load(path)


def write(path, **shapes):
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file[name] = np.ones(shape, np.float32)


def test_the_name_of_a_file_to_save(tmp_path):
    with pytest.raises(ValueError, match="Keras wants a name that ends in .weights.h5"):
        interop.keras.save(lstm, drawn(lstm), tmp_path / "x.keras")


def test_without_h5py(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'seqjax\[interop\]'"):
        interop.keras.load(keras_file("lstm"))
