import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax.data import contiguous, segments


@hypothesis.given(st.integers(2, 300), st.integers(1, 4), st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_reads_what_contiguous_batches_read(tokens, batch, length, seed):
    hypothesis.assume(tokens > batch * length)
    text = np.random.default_rng(tokens).integers(0, 99, tokens)
    fixed, moved = (
        contiguous(text, batch, length),
        segments(text, batch, length, seed=seed, epochs=2),
    )
    found = list(moved)
    assert len(found) == 2 * len(fixed) == 2 * moved.batches_per_epoch
    for name in ("inputs", "targets", "reset"):
        wanted = np.concatenate([piece[name] for piece in fixed], axis=1)
        for epoch in (found[: len(fixed)], found[len(fixed) :]):
            np.testing.assert_array_equal(
                np.concatenate([piece[name] for piece in epoch], axis=1), wanted
            )
    lengths = [piece["inputs"].shape[1] for piece in found]
    assert min(lengths) >= length / 2 and max(lengths) <= 1.5 * length
    assert moved.unused == fixed.unused


def test_every_epoch_has_its_own_cuts_in_few_shapes():
    stream = segments(np.arange(70 * 100 + 1), 1, 70, seed=3)
    lengths = [[next(stream)["inputs"].shape[1] for _ in range(100)] for _ in range(3)]
    assert lengths[0] != lengths[1] != lengths[2]
    assert len(set(sum(lengths, []))) <= 9 and stream.epoch == 3
    again = segments(np.arange(70 * 100 + 1), 1, 70, seed=3)
    assert [next(again)["inputs"].shape[1] for _ in range(100)] == lengths[0]
    other = segments(np.arange(70 * 100 + 1), 1, 70, seed=4)
    assert [next(other)["inputs"].shape[1] for _ in range(100)] != lengths[0]


def test_it_goes_on_where_it_was():
    text = np.arange(401)
    stream = segments(text, 2, 20, seed=1)
    for _ in range(13):
        next(stream)
    state = stream.state()
    wanted = [next(stream)["inputs"].tolist() for _ in range(12)]
    later = segments(text, 2, 20, seed=1)
    later.restore(state)
    assert [next(later)["inputs"].tolist() for _ in range(12)] == wanted
    with pytest.raises(ValueError, match="taken with seed=1, this iterator has 2; give the same"):
        segments(text, 2, 20, seed=2).restore(state)
    with pytest.raises(ValueError, match="taken with text="):
        segments(text + 1, 2, 20, seed=1).restore(state)
    with pytest.raises(ValueError, match="seed is -1; give at least 0"):
        segments(text, 2, 20, seed=-1)
    with pytest.raises(ValueError, match="give a longer text, fewer rows or shorter windows"):
        segments(text, 2, 300)
