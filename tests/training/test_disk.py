"""A full disk ends a training in one clear error, before a checkpoint is begun."""

import collections
import errno
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.training.disk import SMALL, room_for, size_of

TREE = {
    "w": jnp.zeros((1000, 50)),
    "n": jnp.zeros((), jnp.int8),
    "rng": jax.random.key(0),
    "name": "tree",
}


def test_the_size_is_that_of_the_arrays():
    assert size_of({"w": np.zeros((3, 4), np.float16), "n": np.zeros((), np.int64)}) == 24 + 8
    assert size_of(TREE) >= 200_001


@pytest.mark.parametrize(
    ("free", "enough"), [(200_000 + SMALL - 1, False), (210_000 + SMALL, True), (0, False)]
)
def test_too_little_room_is_told_before_anything_is_written(tmp_path, monkeypatch, free, enough):
    asked = []

    def usage(path):
        asked.append(path)
        return collections.namedtuple("Usage", "free")(free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    written = []
    try:
        with room_for(TREE, tmp_path / "run" / "checkpoints"):
            written.append(1)
    except OSError as error:
        assert error.errno == errno.ENOSPC and error.filename.endswith("checkpoints")
    assert bool(written) is enough and asked == [tmp_path]


def test_a_disk_that_others_fill_meanwhile_is_told_alike(tmp_path):
    before = logging.getLogger("asyncio").level
    try:
        with (
            pytest.raises(OSError, match="No space left on device") as caught,
            room_for(TREE, tmp_path),
        ):
            raise ValueError(
                "RESOURCE_EXHAUSTED: Failed to write 837 bytes to file 7: No space left on device"
            )
    finally:
        logging.getLogger("asyncio").setLevel(before)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="another"), room_for(TREE, tmp_path):
        raise ValueError("another")
