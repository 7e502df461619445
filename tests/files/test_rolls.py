"""Piano rolls of MATLAB files."""

import warnings

import numpy as np
import pytest

from seqjax.files import read_rolls
from tests.datasets.data_files import scales, write_mat


def refused(match):
    return pytest.raises(ValueError, match=match)


def with_value(value, row=1, column=2):
    roll = np.zeros((3, 88))
    roll[row, column] = value
    return roll


def test_cells_are_pieces(tmp_path):
    rolls = scales(3)
    path = write_mat(tmp_path / "a.mat", traindata=rolls, testdata=[roll * 1.0 for roll in rolls])
    for name in ("traindata", "testdata"):
        found = read_rolls(path, name)
        assert len(found) == 3 and all(roll.dtype == np.uint8 for roll in found)
        for one, wanted in zip(found, rolls, strict=True):
            np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.zeros((3, 87)), r"a.mat: x\{2\} has shape \[3, 87\]; give frames of 88 keys"),
        (np.zeros((0, 88)), r"x\{2\} has shape \[0, 88\]"),
        (with_value(2), r"x\{2\}\(2,3\) is 2.0; give 1 for a key that sounds, else 0"),
        (with_value(np.nan), r"x\{2\}\(2,3\) is nan"),
        (np.array(["words"]), r"x\{2\} is no matrix of numbers"),
        ({"field": 1}, r"x\{2\} is no matrix of numbers"),
    ],
)
def test_what_is_no_roll_is_told_by_its_place(tmp_path, cell, message):
    path = write_mat(tmp_path / "a.mat", x=[np.zeros((2, 88)), cell])
    with refused(message):
        read_rolls(path, "x")


def test_files_without_the_array(tmp_path):
    path = write_mat(tmp_path / "a.mat", traindata=scales(1), other=scales(1))
    with refused("a.mat: no variable 'testdata'; it has traindata, other"):
        read_rolls(path, "testdata")
    from scipy import io

    io.savemat(tmp_path / "b.mat", {"x": np.zeros((3, 88)), "y": {"field": 1}})
    for name in "xy":
        with refused(f"b.mat: {name} is no cell array"):
            read_rolls(tmp_path / "b.mat", name)
    io.savemat(tmp_path / "c.mat", {"x": np.empty((1, 0), object)})
    with refused("c.mat: x has no cell"):
        read_rolls(tmp_path / "c.mat", "x")
    with refused("d.mat: no such file"):
        read_rolls(tmp_path / "d.mat", "x")
    (tmp_path / "e.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    with refused("e.mat: MATLAB 7.3, which is HDF5; save it with the option -v7"):
        read_rolls(tmp_path / "e.mat", "x")


def test_damaged_files_are_one_line(tmp_path):
    whole = write_mat(tmp_path / "a.mat", x=scales(2)).read_bytes()
    random, path = np.random.default_rng(0), tmp_path / "b.mat"
    ends = [*range(0, 200, 7), *range(200, len(whole), 31)]
    damaged = [whole[:end] for end in ends]
    for _ in range(60):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        damaged.append(bytes(data))
    told = 0
    for data in damaged:
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_rolls(path, "x")  # Some changes leave a file that is whole.
            except ValueError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
                told += 1
    assert told > len(ends)
