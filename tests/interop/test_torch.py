"""Weights of PyTorch, both ways; `tests/cells/test_golden.py` reads every kind of module by them."""

import re

import numpy as np
import pytest
import safetensors.numpy

import seqjax
from seqjax import interop
from tests.interop.golden import FOLDER, drawn, entries, gives, read, same

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = FOLDER / "model_torch.safetensors"
FILES = sorted(path.name for path in FOLDER.glob("torch_*layer*.npz"))

lstm, gru = seqjax.LSTM(4), seqjax.GRU(4)
NETS = (
    seqjax.Elman(4),
    gru,
    seqjax.LSTM(5, projection_size=3),
    seqjax.bidirectional(lstm),
    seqjax.stack(gru, gru),
    seqjax.stack(*[seqjax.bidirectional(seqjax.LSTM(4, projection_size=2))] * 3),
)


def test_modules_of_a_file():
    golden = read("model_torch.npz")
    both = seqjax.bidirectional(lstm)
    wanted = {"encoder": seqjax.stack(both, both), "decoder": gru, "cell": gru}
    for name, expected in wanted.items():
        net, params = interop.torch.load(MODEL, prefix=f"{name}.")
        assert net == expected
        gives(net, params, golden["x"], golden[name])
    net, params = interop.torch.load(MODEL, "relu", activation="relu")
    assert net == seqjax.Elman(4, activation="relu")
    gives(net, params, golden["x"], golden["relu"])


@pytest.mark.parametrize("name", FILES)
def test_a_saved_module_has_its_names_and_values(name):
    golden = entries(read(name))
    again = interop.torch.state_dict(*interop.torch.load(golden))
    assert set(again) == set(golden)
    for key, array in golden.items():
        assert again[key].shape == array.shape
        if key.startswith("weight"):
            np.testing.assert_array_equal(again[key], array.astype(np.float32))
    # Biases are split otherwise: the sums are equal, and the GRU's candidate's each for itself.
    for key in [key for key in golden if key.startswith("bias_ih")]:
        other = key.replace("_ih_", "_hh_")
        np.testing.assert_allclose(
            again[key] + again[other], golden[key] + golden[other], rtol=1e-6, atol=1e-6
        )
        if "gru" in name:
            units = len(golden[key]) // 3
            np.testing.assert_array_equal(
                again[other][2 * units :], golden[other][2 * units :].astype(np.float32)
            )


@pytest.mark.parametrize("net", NETS, ids=str)
def test_what_is_saved_is_loaded(net, tmp_path):
    params = drawn(net)
    interop.torch.save(net, params, tmp_path / "x.safetensors", prefix="encoder.")
    assert all(name.startswith("encoder.") for name in names(tmp_path / "x.safetensors"))
    again, back = interop.torch.load(tmp_path / "x.safetensors", prefix="encoder.")
    assert again == net
    same(back, params)


def test_dropout_is_left_out():
    params = drawn(seqjax.stack(gru, gru))
    saved = interop.torch.state_dict(seqjax.stack(gru, gru, dropout=0.5), params)
    assert interop.torch.load(saved)[0] == seqjax.stack(gru, gru)


def names(path):
    return list(safetensors.numpy.load_file(path))


def test_a_prefix_is_wanted_and_known():
    there = "'cell.', 'decoder.', 'encoder.', 'relu.'"
    with pytest.raises(ValueError, match=f"prefix= is wanted; found {there}"):
        interop.torch.load(MODEL)
    with pytest.raises(ValueError, match=f"no recurrent module under 'decodr.'; found {there}"):
        interop.torch.load(MODEL, "decodr")
    with pytest.raises(ValueError, match="found no recurrent module at all"):
        interop.torch.load({"linear.weight": np.ones((3, 3))})


def damaged(change):
    arrays = interop.torch.state_dict(NETS[-1], drawn(NETS[-1]))
    change(arrays)
    return arrays


def cut(name, *shape):
    return lambda arrays: arrays.update({name: np.ones(shape, np.float32)})


def drop(pattern):
    def change(arrays):
        for name in [name for name in arrays if re.search(pattern, name)]:
            del arrays[name]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("_l1"), "layer 1 is missing; there are 0, 2"),
        (drop("_l1_reverse"), "weight_hh_l1_reverse is missing; wanted [any, any]"),
        (drop("bias_hh_l1$"), "bias_hh_l1 is missing; wanted [16] for an LSTM of 4 units"),
        (drop("weight_ih_l2$"), "weight_ih_l2 is missing; wanted [16, any] for an LSTM"),
        (cut("bias_ih_l0", 12), "bias_ih_l0 is [12]; wanted [16] for an LSTM of 4 units"),
        (
            cut("weight_hh_l0", 14, 2),
            "weight_hh_l0 has 14 sums for 4 units; wanted 4 (a simple RNN)",
        ),
        (cut("weight_hh_l0", 12), "weight_hh_l0 is [12]; wanted [any, any]"),
        (cut("weight_ih_l1", 16, 9), "layer_1 reads 9 features, and the layer before it gives 4"),
        (
            lambda arrays: arrays.update(weight_ih_l0=np.ones((16, 3), np.int8)),
            "weight_ih_l0 is int8; give it as floating point",
        ),
    ],
)
def test_damaged_modules(change, said):
    with pytest.raises(ValueError) as error:
        interop.torch.load(damaged(change))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_mixed_kinds_under_one_prefix():
    arrays = interop.torch.state_dict(gru, drawn(gru))
    second = interop.torch.state_dict(lstm, drawn(lstm, 4))
    arrays |= {name.replace("_l0", "_l1"): array for name, array in second.items()}
    said = "weight_hh_l1 is an LSTM of 4 units, the first layer a GRU of 4 units; a module has one"
    with pytest.raises(ValueError, match=said):
        interop.torch.load(arrays)
    arrays |= {"weight_hh": np.ones((12, 4), np.float32)}
    with pytest.raises(ValueError, match="a cell and numbered layers under one prefix"):
        interop.torch.load(arrays)


def test_odd_files(tmp_path):
    with pytest.raises(ValueError, match="model.pt: a pickle may run code"):
        interop.torch.load(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="no such file"):
        interop.torch.load(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no safetensors file, or a damaged one"):
        interop.torch.load(tmp_path / "model.safetensors")
