"""IDX, the format of MNIST and its kin: a big-endian header, then an array."""

import math
import os

import numpy as np

from seqjax.files.text import read_bytes

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike, ndim: int | None = None) -> np.ndarray:
    """Reads the array of an IDX file, plain or gzipped, in the machine's byte order.

    The file is two zero bytes, a byte for the dtype, a byte for the rank, each size as a 32-bit
    integer, and the values in row-major order (LeCun, Cortes and Burges, "The MNIST database of
    handwritten digits").

    Args:
      path: the file.
      ndim: the rank it must have, for example 3 for images and 1 for labels; None takes any.

    Raises:
      ValueError: it is not IDX, of another rank, or shorter or longer than its header says.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in DTYPES:
        found = data[:4].hex(" ") or "nothing"
        raise ValueError(f"{path}: begins with {found}; an IDX file begins with 00 00 and a dtype")
    rank = data[3]
    if ndim is not None and rank != ndim:
        raise ValueError(
            f"{path}: an array of {rank} axes; wanted {ndim} (are the images and labels swapped?)"
        )
    sizes, dtype = data[4 : 4 + 4 * rank], np.dtype(DTYPES[data[2]])
    # A header that is cut off may end within a size.
    whole = sizes[: len(sizes) // 4 * 4]
    shape = tuple(int(size) for size in np.frombuffer(whole, ">u4"))
    wanted = 4 + 4 * rank + dtype.itemsize * math.prod(shape)
    if len(shape) != rank or len(data) != wanted:
        raise ValueError(
            f"{path}: {len(data):,} bytes unzipped; its header promises {wanted:,}; fetch it again"
        )
    values = np.frombuffer(data, dtype, offset=4 + 4 * rank).reshape(shape)
    return values.astype(dtype.newbyteorder("="))
