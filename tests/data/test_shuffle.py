"""The shuffled order: a permutation, read anywhere, and the one that earlier runs were begun in."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax.data import Records, batches
from seqjax.data.shuffle import CHUNK, shuffled
from tests.fresh import run_afresh


@pytest.mark.parametrize("records", [1, 2, 3, 60, 1000, 65535, 65536, 65537, 70_001, 262_145])
def test_an_order_has_every_record_once(records):
    order = shuffled(0, records, records, seed=5)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(records))


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    st.sampled_from([1, 2, 9, 300, 65_536, 70_001, 1_500_000]),
    st.sampled_from([0, 1, 77, 2**32 - 1]),
    st.integers(0, 2**31),
)
def test_the_order_is_that_of_grain(records, seed, place):
    """Whose shuffle made the batches of earlier runs, which go on from their checkpoints."""
    import grain

    place %= records
    stop = min(place + 3, records)
    reference = grain.MapDataset.range(records).shuffle(seed=seed)
    expected = [reference[index] for index in range(place, stop)]
    assert shuffled(place, stop, records, seed).tolist() == expected


def test_places_of_two_chunks_are_read_at_once():
    records = 2 * CHUNK + 5
    whole = shuffled(0, records, records, seed=3)
    for start, stop in ((CHUNK - 2, CHUNK + 3), (CHUNK - 1, 2 * CHUNK + 1), (7, 7)):
        np.testing.assert_array_equal(
            shuffled(start, stop, records, seed=3), whole[start:stop], strict=True
        )


def test_orders_of_different_seeds_have_nothing_in_common():
    """Of 1,000 places two orders share about one."""
    orders = [shuffled(0, 1000, 1000, seed) for seed in range(4)]
    for one in range(4):
        for other in range(one):
            assert (orders[one] == orders[other]).sum() < 8
    # Neighbours are far from each other: a third of the records on average.
    assert 300 < np.abs(np.diff(orders[0])).mean() < 370


def test_the_first_batches_of_a_seed_are_those_of_earlier_versions():
    stream = batches(Records({"id": np.arange(10)}), 5, seed=7)
    assert [next(stream)["id"].tolist() for _ in range(3)] == [
        [3, 8, 2, 1, 0],
        [4, 9, 5, 7, 6],
        [7, 9, 0, 8, 4],
    ]


def test_shuffling_imports_no_library_for_it():
    run_afresh(
        "from seqjax.data import batches\nnext(batches({'x': [1, 2, 3]}, 2))", without=["grain"]
    )
