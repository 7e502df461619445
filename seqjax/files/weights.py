"""Arrays by name in one file, in the format of `safetensors`: numbers, and nothing that runs."""

import os
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from seqjax.files.disk import write_atomically

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "C64": np.complex64,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool,
}
"""The format's names of dtypes."""


def write_weights(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name, whole or not at all.

    Args:
      path: the file, by custom `NAME.safetensors`.
      arrays: what to write; dtypes are kept.

    Raises:
      TypeError: the format has no such dtype (which array).
    """
    known = [np.dtype(dtype) for dtype in DTYPES.values()]
    for name, array in arrays.items():
        if array.dtype not in known:
            raise TypeError(
                f"the array {name!r} is {array.dtype}, which safetensors cannot hold; convert it"
            )
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, safetensors.numpy.save(contiguous))


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads arrays by name.

    Raises:
      ValueError: there is no such file, or it is damaged or of another kind.
    """
    try:
        found = safetensors.deserialize(Path(path).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: no safetensors file, or a damaged one ({error})") from None
    arrays = {}
    for name, entry in found:
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: the array {name!r} is {entry['dtype']}, which NumPy lacks")
        flat = np.frombuffer(bytes(entry["data"]), DTYPES[entry["dtype"]])
        arrays[name] = flat.reshape(entry["shape"])
    return arrays
