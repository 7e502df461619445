import itertools
import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax.data import BucketBatches, bucket_boundaries, pad_batch


def cost(lengths, boundaries):
    return sum(min(edge for edge in boundaries if edge >= length) for length in lengths)


@hypothesis.settings(max_examples=30)
@hypothesis.given(st.lists(st.integers(1, 12), min_size=1, max_size=25), st.integers(1, 5))
def test_boundaries_are_the_cheapest_there_are(lengths, buckets):
    boundaries = bucket_boundaries(lengths, buckets)
    distinct = sorted(set(lengths))
    assert boundaries == tuple(sorted(set(boundaries))) and boundaries[-1] == max(lengths)
    assert len(boundaries) <= buckets
    choices = itertools.combinations(distinct[:-1], min(buckets, len(distinct)) - 1)
    assert cost(lengths, boundaries) == min(
        cost(lengths, (*choice, distinct[-1])) for choice in choices
    )


def test_boundaries_of_many_lengths_come_from_quantiles():
    lengths = np.random.default_rng(0).lognormal(7, 1, 20_000).astype(int) + 1
    boundaries = bucket_boundaries(lengths, 8)
    assert len(boundaries) == 8 and boundaries[-1] == lengths.max()
    # Exact dynamic programming over all 7,000 lengths reaches 0.729; boundaries at even distances
    # 0.245.
    padded = np.array(boundaries)[np.searchsorted(boundaries, lengths)]
    assert lengths.sum() / padded.sum() > 0.72


def test_max_length_is_the_last_boundary():
    assert bucket_boundaries([2, 3, 50], 2, max_length=10) == (3, 10)
    assert bucket_boundaries([0, 0], 2) == (1,)
    with pytest.raises(ValueError, match="no sequence has at most max_length=1 steps"):
        bucket_boundaries([2, 3], 2, max_length=1)
    with pytest.raises(ValueError, match=r"lengths are float64\[1\]; give the number of steps"):
        bucket_boundaries(np.array([1.5]), 2)


LENGTHS = np.random.default_rng(1).integers(1, 40, 137)


def epoch(**options):
    stream = BucketBatches(LENGTHS, buckets=4, seed=3, epochs=1, **options)
    return stream, list(stream)


@pytest.mark.parametrize(
    "options", [{"batch_size": 8}, {"tokens": 200}, {"tokens": 200, "multiple_of": 4}]
)
def test_every_sequence_once_and_one_shape_for_each_bucket(options):
    stream, batches = epoch(**options)
    assert sorted(np.concatenate([batch.indices for batch in batches])) == list(range(len(LENGTHS)))
    assert {(batch.rows, batch.time) for batch in batches} == set(stream.shapes)
    assert len({time for _, time in stream.shapes}) == len(stream.shapes) == 4
    assert len(batches) == stream.batches_per_epoch
    for batch in batches:
        assert len(batch.indices) <= batch.rows
        assert LENGTHS[batch.indices].max() <= batch.time
        smaller = [time for _, time in stream.shapes if time < batch.time]
        assert LENGTHS[batch.indices].min() > max(smaller, default=0)
    if "tokens" in options:
        assert all(
            rows * time <= 200 < (rows + options.get("multiple_of", 1)) * time
            for rows, time in stream.shapes
        )
        assert all(rows % options.get("multiple_of", 1) == 0 for rows, _ in stream.shapes)


def test_padded_to_one_array_shape_with_zero_weight_rows():
    stream, batches = epoch(batch_size=8)
    sequences = [np.full(length, index + 1) for index, length in enumerate(LENGTHS)]
    shapes, weights = set(), 0.0
    for batch in batches:
        array, lengths, weight = pad_batch(
            [sequences[index] for index in batch.indices], batch.time, batch.rows
        )
        shapes.add(array.shape)
        weights += weight.sum()
        assert ((array > 0).sum(1) == lengths).all() and not lengths[weight == 0].any()
    assert shapes == set(stream.shapes) and weights == len(LENGTHS)
    report = stream.report()
    assert report.real == LENGTHS.sum() and report.shapes == 4
    assert report.real + report.padded == sum(batch.rows * batch.time for batch in batches)


def test_report_by_hand():
    report = BucketBatches([1, 2, 2, 5], batch_size=2, buckets=(2, 6)).report()
    assert (report.real, report.padded, report.shapes) == (10, 2 * 2 * 2 + 2 * 6 - 10, 2)


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, **options):
        return [
            batch.indices.tolist()
            for batch in BucketBatches(LENGTHS, 8, buckets=4, seed=seed, **options).plan(epoch)
        ]

    assert order(3, 2) == order(3, 2)
    assert order(3, 2) != order(3, 1) != order(2, 2)
    assert order(2, 1) != order(1, 2)
    assert order(3, 2, shuffle=False) == order(4, 0, shuffle=False)


@pytest.mark.parametrize("position", [0, 1, 17, 18, 19, 30])
def test_resume_is_exact(position):
    def fresh():
        return BucketBatches(LENGTHS, 8, buckets=4, seed=5)

    stream = fresh()
    for _ in range(position):
        next(stream)
    state = json.loads(json.dumps(stream.state()))
    rest = [next(stream).indices.tolist() for _ in range(40)]
    resumed = fresh()
    resumed.restore(state)
    assert [next(resumed).indices.tolist() for _ in range(40)] == rest
    assert resumed.epoch == stream.epoch


def test_a_state_of_other_data_is_refused():
    state = BucketBatches(LENGTHS, 8, seed=5).state()
    for other in (
        BucketBatches(LENGTHS, 8, seed=6),
        BucketBatches(LENGTHS[1:], 8, seed=5),
        BucketBatches(LENGTHS, 4, seed=5),
    ):
        with pytest.raises(ValueError, match="taken over other lengths, shapes or another seed"):
            other.restore(state)


def test_errors():
    with pytest.raises(
        ValueError,
        match=r"2 of 3 sequences are longer than the last boundary 4 \(up to 9\); raise it",
    ):
        BucketBatches([4, 5, 9], 2, buckets=(2, 4))
    with pytest.raises(ValueError, match="batch_size=2 and tokens=9; give one of the two"):
        BucketBatches([4], 2, tokens=9)
    with pytest.raises(ValueError, match=r"tokens=30: no room for a row \(a row has 40 steps\)"):
        BucketBatches([40], tokens=30)
    with pytest.raises(ValueError, match="4 rows at a time"):
        BucketBatches([40], tokens=100, multiple_of=4)
    with pytest.raises(ValueError, match="buckets are"):
        BucketBatches([40], 4, buckets=())
