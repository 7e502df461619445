import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax.data import Records, Windows, batches, mapped


def ids(stream):
    return [batch["id"].tolist() for batch in stream]


def source(count):
    return Records({"id": np.arange(count)})


def test_an_epoch_has_every_record_once_in_an_order_of_its_own():
    stream = batches(source(23), 5, seed=1, epochs=2)
    rows = np.array([[batch["id"], batch["weight"]] for batch in stream])
    assert rows.shape == (10, 2, 5)
    orders = []
    for part in (rows[:5], rows[5:]):
        kept = part[:, 0][part[:, 1] > 0].astype(int)
        assert sorted(kept) == list(range(23))
        orders.append(kept.tolist())
    assert orders[0] != orders[1] != sorted(orders[1])
    assert rows[:, 1].sum() == 46


def test_the_order_of_one_seed_is_no_shifted_order_of_another():
    def epochs(seed):
        stream = batches(source(30), 30, seed=seed, epochs=3)
        return {tuple(order) for order in ids(stream)}

    assert len(epochs(0) | epochs(1) | epochs(2)) == 9


def test_the_last_batch_is_padded_with_weightless_rows_or_dropped():
    stream = batches(source(7), 3, shuffle=False, epochs=1)
    assert stream.batches_per_epoch == 3
    got = list(stream)
    assert [batch["id"].shape for batch in got] == [(3,)] * 3
    assert [batch["weight"].tolist() for batch in got] == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]
    assert got[0]["weight"].dtype == np.float32
    dropping = batches(source(7), 3, shuffle=False, epochs=1, drop_remainder=True)
    assert ids(dropping) == [[0, 1, 2], [3, 4, 5]]
    assert "weight" not in next(batches(source(7), 3, drop_remainder=True))


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    st.integers(1, 30), st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(0, 25), st.booleans(), st.booleans()
)
def test_resume_is_exact_from_any_position(count, rows, shards, position, shuffle, drop):
    size = rows * shards
    hypothesis.assume(not drop or count >= size)

    def fresh():
        options = {"seed": 7, "shuffle": shuffle, "drop_remainder": drop, "shard": (shards - 1, shards)}
        return batches(source(count), size, **options)

    stream = fresh()
    for _ in range(position):
        next(stream)
    state = json.loads(json.dumps(stream.state()))
    resumed = fresh()
    resumed.restore(state)
    for _ in range(12):
        one, two = next(stream), next(resumed)
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


@hypothesis.settings(max_examples=15)
@hypothesis.given(st.integers(1, 40), st.integers(1, 4), st.sampled_from([2, 3, 4]), st.booleans())
def test_shards_side_by_side_are_the_whole_batch(count, rows, shards, shuffle):
    options = {"seed": 3, "shuffle": shuffle, "epochs": 2}
    whole = list(batches(source(count), rows * shards, **options))
    parts = [list(batches(source(count), rows * shards, shard=(index, shards), **options)) for index in range(shards)]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        weight = np.concatenate([part[step]["weight"] for part in parts])
        np.testing.assert_array_equal(weight, batch["weight"])
        together = np.concatenate([part[step]["id"] for part in parts])
        np.testing.assert_array_equal(together[weight > 0], batch["id"][weight > 0])


def test_a_state_goes_over_to_another_number_of_shards():
    stream = batches(source(20), 4, seed=2)
    next(stream), next(stream)
    half = batches(source(20), 4, seed=2, shard=(1, 2))
    half.restore(stream.state())
    assert next(half)["id"].tolist() == next(stream)["id"][2:].tolist()


def test_a_state_of_another_stream_is_refused():
    state = batches(source(20), 4, seed=2).state()
    with pytest.raises(ValueError, match="the state was taken with seed=2, this iterator has 3; give the same"):
        batches(source(20), 4, seed=3).restore(state)
    with pytest.raises(ValueError, match="records=20, this iterator has 21"):
        batches(source(21), 4, seed=2).restore(state)


def test_every_kind_of_source_gives_the_same_batches():
    records = Records({"id": np.arange(9), "word": [f"w{index}" for index in range(9)]})

    class Many:
        def __len__(self):
            return 9

        def __getitems__(self, indices):
            assert all(type(index) is int for index in indices)
            return [records[index] for index in indices]

    expected = list(batches(records, 4, seed=5, epochs=1))
    for other in (list(records), Many()):
        for one, two in zip(expected, batches(other, 4, seed=5, epochs=1), strict=True):
            np.testing.assert_array_equal(one["id"], two["id"])
            np.testing.assert_array_equal(one["word"], two["word"])


def test_windows_stream():
    batch = next(batches(Windows(np.arange(1000), 10), 64, seed=0))
    np.testing.assert_array_equal(batch["targets"], batch["inputs"] + 1)
    assert batch["inputs"].shape == (64, 10)


def test_grain_reads_our_sources_too():
    import grain

    dataset = grain.MapDataset.source(Windows(np.arange(50), 4)).shuffle(seed=1).batch(3)
    assert dataset[0]["inputs"].shape == (3, 4)


def test_mapped_keeps_the_position():
    stream = mapped(lambda batch: batch["id"].sum(), batches(source(12), 3, seed=1))
    first = next(stream)
    state = stream.state()
    second = next(stream)
    stream.restore(state)
    assert next(stream) == second
    assert isinstance(first, np.integer)


def test_errors():
    with pytest.raises(
        ValueError, match=r"the field 'x' differs in shape from record to record \(\(2,\), \(3,\), ...\)"
    ):
        next(batches([{"x": [1, 2]}, {"x": [1, 2, 3]}], 2))
    with pytest.raises(ValueError, match='field "weight" themselves'):
        next(batches([{"weight": 1}], 1))
    with pytest.raises(ValueError, match="batch_size is 5; give a positive multiple of the 2 shards"):
        batches(source(9), 5, shard=(0, 2))
    with pytest.raises(ValueError, match=r"shard is \(2, 2\)"):
        batches(source(9), 4, shard=(2, 2))
    with pytest.raises(ValueError, match="the source has 3 records; a batch wants 4"):
        batches(source(3), 4, drop_remainder=True)
    with pytest.raises(ValueError, match="the source has 0 records"):
        batches([], 4)
    with pytest.raises(ValueError, match="seed is -1"):
        batches(source(3), 1, seed=-1)
