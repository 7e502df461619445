"""Arrays by name in a file."""

import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.files.weights import DTYPES, read_weights, write_weights


def test_every_dtype_and_shape_comes_back(tmp_path):
    arrays = {name: np.arange(6).reshape(2, 3).astype(dtype) for name, dtype in DTYPES.items()}
    arrays |= {"scalar": np.float32(3)[()] * np.ones(()), "empty": np.zeros((0, 3), np.float32)}
    arrays["turned"] = np.arange(6, dtype=np.float32).reshape(2, 3).T
    write_weights(tmp_path / "a.safetensors", arrays)
    found = read_weights(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_file_is_what_safetensors_itself_reads(tmp_path):
    from safetensors.numpy import load_file

    write_weights(tmp_path / "a.safetensors", {"w": np.arange(3.0, dtype=np.float32)})
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["w"], [0, 1, 2])


def test_damage_is_told_in_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="a.safetensors: no such file"):
        read_weights(path)
    write_weights(path, {"w": jnp.ones(300).__array__()})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="a.safetensors: no safetensors file, or a damaged one"):
        read_weights(path)
    with pytest.raises(TypeError, match="the array 'w' is object"):
        write_weights(path, {"w": np.array([None])})
