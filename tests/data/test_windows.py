import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax.data import Windows, batches, contiguous, series_windows


@hypothesis.given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 5))
def test_windows_are_the_slices_of_the_text(tokens, length, stride):
    hypothesis.assume(tokens > length)
    text = np.random.default_rng(tokens).integers(0, 99, tokens)
    windows = Windows(text, length, stride)
    starts = range(0, tokens - length, stride)
    assert len(windows) == len(starts)
    for index, start in enumerate(starts):
        np.testing.assert_array_equal(windows[index]["inputs"], text[start : start + length])
        np.testing.assert_array_equal(
            windows[index]["targets"], text[start + 1 : start + length + 1]
        )


def test_windows_gather_many():
    windows = Windows(np.arange(10), 3)
    got = windows.gather(np.array([6, 0]))
    np.testing.assert_array_equal(got["inputs"], [[6, 7, 8], [0, 1, 2]])
    np.testing.assert_array_equal(got["targets"], [[7, 8, 9], [1, 2, 3]])
    assert [record["inputs"].tolist() for record in windows.__getitems__([6, 0])] == [
        [6, 7, 8],
        [0, 1, 2],
    ]
    assert windows[-1]["targets"].tolist() == [7, 8, 9]
    with pytest.raises(IndexError):
        _ = windows[7]


def test_short_texts_are_refused_with_both_numbers():
    with pytest.raises(
        ValueError, match="the text has 5 tokens; a window of 5 and its continuation want 6"
    ):
        Windows(np.arange(5), 5)
    assert len(Windows(np.arange(6), 5)) == 1
    with pytest.raises(
        ValueError, match="the text has 12 tokens; 3 rows of 4 and the continuation want 13"
    ):
        contiguous(np.arange(12), 3, 4)
    with pytest.raises(
        ValueError, match="the series has 6 steps; a context of 5 and a horizon of 2 want 7"
    ):
        series_windows(np.zeros((6, 1)), 5, 2)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="stride is 0; give at least 1"):
        Windows(np.arange(9), 2, 0)
    with pytest.raises(ValueError, match=r"tokens are float64\[9\]; give integer ids"):
        Windows(np.zeros(9), 2)
    with pytest.raises(ValueError, match=r"values have shape \(9,\); give \[time, channels\]"):
        series_windows(np.zeros(9), 2, 2)


@hypothesis.given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 5))
def test_contiguous_rows_go_on_where_they_ended(tokens, batch, length):
    hypothesis.assume(tokens > batch * length)
    text = np.arange(tokens)
    pieces = contiguous(text, batch, length)
    inputs = np.concatenate([piece["inputs"] for piece in pieces], axis=1)
    targets = np.concatenate([piece["targets"] for piece in pieces], axis=1)
    assert all(piece["inputs"].shape == (batch, length) for piece in pieces)
    np.testing.assert_array_equal(np.diff(inputs, axis=1), 1)
    np.testing.assert_array_equal(targets, inputs + 1)
    used = np.union1d(inputs, targets)
    assert pieces.unused == tokens - len(used)
    assert pieces.unused < batch * length


def test_contiguous_resets_at_the_very_start_alone():
    pieces = contiguous(np.arange(30), 2, 4)
    assert len(pieces) == 3
    assert pieces[0]["reset"].tolist() == [[True, False, False, False]] * 2
    assert not any(piece["reset"].any() for piece in pieces[1:])


def test_contiguous_streams_with_a_position_and_in_shards():
    pieces = contiguous(np.arange(41), 4, 5)
    stream = batches(pieces, None, shuffle=False, epochs=2)
    whole = list(stream)
    assert len(whole) == 4
    np.testing.assert_array_equal(whole[2]["inputs"], whole[0]["inputs"])
    right = list(batches(pieces, None, shuffle=False, epochs=1, shard=(1, 2)))
    np.testing.assert_array_equal(right[1]["inputs"], whole[1]["inputs"][2:])
    with pytest.raises(ValueError, match="do not divide into 3 shards"):
        next(batches(pieces, None, shuffle=False, shard=(0, 3)))
    with pytest.raises(ValueError, match="give shuffle=False"):
        batches(pieces, None)


def test_series_windows():
    values = np.arange(20.0).reshape(10, 2)
    windows = series_windows(values, context=3, horizon=2, stride=2)
    assert len(windows) == 3
    np.testing.assert_array_equal(windows[1]["context"], values[2:5])
    np.testing.assert_array_equal(windows[1]["horizon"], values[5:7])
    got = windows.gather(np.array([2, 0]))
    assert got["context"].shape == (2, 3, 2) and got["horizon"].shape == (2, 2, 2)
    np.testing.assert_array_equal(got["horizon"][0], values[7:9])
