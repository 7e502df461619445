import numpy as np
import pytest

from seqjax.data import pad_batch, padding_report


def test_pad_batch():
    array, lengths, weight = pad_batch([[1, 2, 3], [4]], time=4, rows=3, pad_value=9)
    np.testing.assert_array_equal(array, [[1, 2, 3, 9], [4, 9, 9, 9], [9, 9, 9, 9]])
    assert array.dtype == np.int32 and lengths.dtype == np.int32 and weight.dtype == np.float32
    assert lengths.tolist() == [3, 1, 0]
    assert weight.tolist() == [1.0, 1.0, 0.0]


def test_pad_batch_of_frames_and_empty_sequences():
    array, lengths, _ = pad_batch(
        [np.ones((2, 5), np.float32), np.zeros((0, 5), np.float32)], time=3, rows=2
    )
    assert array.shape == (2, 3, 5) and array.dtype == np.float32
    assert lengths.tolist() == [2, 0]
    assert array.sum() == 10


def test_nothing_is_cut():
    with pytest.raises(
        ValueError, match=r"2 of 3 sequences are longer than 2 steps \(the longest has 4\)"
    ):
        pad_batch([[1, 2, 3], [1], [1, 2, 3, 4]], time=2, rows=3)
    with pytest.raises(ValueError, match="3 sequences for 2 rows"):
        pad_batch([[1], [1], [1]], time=2, rows=2)
    with pytest.raises(ValueError, match="0 sequences for 2 rows"):
        pad_batch([], time=2, rows=2)


def test_padding_report_by_hand():
    report = padding_report([3, 4, 1, 8], [(2, 4), (2, 8), (2, 8)])
    assert (report.real, report.padded, report.shapes) == (16, 24, 2)
    assert report.waste == 0.6
    assert str(report) == "60.0% padding: 16 of 40 steps are real, in 2 shapes"
    with pytest.raises(ValueError, match="the batches hold 8 steps, the sequences have 16"):
        padding_report([3, 4, 1, 8], [(2, 4)])
