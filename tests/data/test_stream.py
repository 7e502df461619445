import json

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.data import Records, Windows, batches, contiguous, mapped


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
    st.integers(1, 30),
    st.integers(1, 4),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 25),
    st.booleans(),
    st.booleans(),
)
def test_resume_is_exact_from_any_position(count, rows, shards, position, shuffle, drop):
    size = rows * shards
    hypothesis.assume(not drop or count >= size)

    def fresh():
        options = {
            "seed": 7,
            "shuffle": shuffle,
            "drop_remainder": drop,
            "shard": (shards - 1, shards),
        }
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
    parts = [
        list(batches(source(count), rows * shards, shard=(index, shards), **options))
        for index in range(shards)
    ]
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
    with pytest.raises(
        ValueError, match="the state was taken with seed=2, this iterator has 3; give the same"
    ):
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
        ValueError,
        match=r"the field 'x' differs in shape from record to record \(\(2,\), \(3,\), ...\)",
    ):
        next(batches([{"x": [1, 2]}, {"x": [1, 2, 3]}], 2))
    with pytest.raises(ValueError, match='field "weight" themselves'):
        next(batches([{"weight": 1}], 1))
    with pytest.raises(
        ValueError, match="batch_size is 5; give a positive multiple of the 2 shards"
    ):
        batches(source(9), 5, shard=(0, 2))
    with pytest.raises(ValueError, match=r"shard is \(2, 2\)"):
        batches(source(9), 4, shard=(2, 2))
    with pytest.raises(ValueError, match="the source has 3 records; a batch wants 4"):
        batches(source(3), 4, drop_remainder=True)
    with pytest.raises(ValueError, match="the source has 0 records"):
        batches([], 4)
    with pytest.raises(ValueError, match="seed is -1"):
        batches(source(3), 1, seed=-1)


def test_columns_are_a_source():
    columns = {
        "id": np.arange(9),
        "word": [f"w{index}" for index in range(9)],
        "x": jnp.arange(18.0).reshape(9, 2),
    }
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for one, two in zip(batches(columns, 4, epochs=1), batches(records, 4, epochs=1), strict=True):
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def test_a_table_is_a_source_whatever_its_labels():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"id": range(6), "word": list("abcdef")})[::2]
    assert next(batches(table, 3, shuffle=False))["id"].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ({"x": index} for index in range(3)),
            "the source is a generator, which has no records at numbered places",
        ),
        (iter([{"x": 1}]), "a list_iterator, which has no records"),
        ({1, 2}, "the source is a set"),
        ("text", "the source is a str"),
        (None, "the source is a NoneType"),
        (
            np.zeros((5, 2), np.float32),
            r"one array float32\[5, 2\]; name its columns, such as {'x': array}",
        ),
        (
            (np.zeros(5), np.ones(5)),
            "record 0 of the source is a ndarray; give dicts of named fields",
        ),
        ([(1, 2), (3, 4)], "record 0 of the source is a tuple; give dicts"),
        ({"x": 3}, r"the column 'x' is a int; give an array \[records, ...\] or a list"),
        ({"x": np.array(3)}, "the column 'x' is a ndarray; give"),
        ({"x": {"y": np.zeros(3)}}, "the column 'x' is a dict; give"),
    ],
)
def test_what_is_no_source_is_named(given, words):
    with pytest.raises(TypeError, match=words):
        batches(given, 1)


def test_records_of_other_fields_are_named():
    with pytest.raises(ValueError, match="one record has the fields x, another one x, y"):
        next(batches([{"x": 1}, {"x": 1, "y": 2}], 2, shuffle=False))
    with pytest.raises(TypeError, match="record 1 of the source is a int"):
        next(batches([{"x": 1}, 2], 2, shuffle=False))


class Reusing:
    """Fills the same array for each record, or for each batch of a source of batches."""

    def __init__(self, count, shape):
        self.count, self.array = count, np.zeros(shape)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.array[...] = index
        return {"x": self.array}


class ReusingGather(Reusing):
    def gather(self, indices):
        self.array[: len(indices)] = indices
        return {"x": self.array[: len(indices)]}


def test_a_source_may_fill_the_same_array_again():
    one = next(batches(Reusing(3, ()), 3, shuffle=False))
    assert one["x"].tolist() == [0, 1, 2]
    gathered = list(batches(ReusingGather(6, 2), 2, shuffle=False, epochs=1))
    assert [batch["x"].tolist() for batch in gathered] == [[0, 1], [2, 3], [4, 5]]
    own = list(batches(Reusing(3, 2), None, shuffle=False, epochs=1))
    assert [batch["x"].tolist() for batch in own] == [[0, 0], [1, 1], [2, 2]]


OTHERS = {
    "numbers": (Records({"id": np.arange(9)}), Records({"id": np.arange(9) + 1})),
    "one text": (Records({"word": list("abcdef")}), Records({"word": list("abcdeg")})),
    "a list": ([{"x": [1, 2]}, {"x": [3, 4]}], [{"x": [1, 2]}, {"x": [3, 5]}]),
    "objects": (
        Records({"word": np.array(["a", "bc"], object)}),
        Records({"word": np.array(["a", "bd"], object)}),
    ),
    "types": (Records({"id": np.arange(9)}), Records({"id": np.arange(9.0)})),
    "a text": (Windows(np.arange(90), 7), Windows(np.arange(1, 91), 7)),
    "windows of another stride": (Windows(np.arange(17), 4, 4), Windows(np.arange(17), 5, 3)),
    "nested": ([{"x": {"a": 1, "b": 2}}] * 3, [{"x": {"a": 1, "c": 2}}] * 3),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_of_other_records_is_refused(name):
    one, other = OTHERS[name]
    state = json.loads(json.dumps(batches(one, 1).state()))
    batches(one, 1).restore(state)
    with pytest.raises(
        ValueError, match="over other records than this iterator's; give the same to resume"
    ):
        batches(other, 1).restore(state)


def test_a_state_of_another_shape_of_contiguous_batches_is_refused():
    tokens = np.arange(41)
    state = batches(contiguous(tokens, 4, 5), None, shuffle=False).state()
    batches(contiguous(tokens.copy(), 4, 5), None, shuffle=False).restore(state)
    for other in (
        contiguous(tokens, 5, 4),
        contiguous(tokens, 2, 10),
        contiguous(tokens + 1, 4, 5),
    ):
        assert len(other) == 2
        with pytest.raises(ValueError, match="over other records"):
            batches(other, None, shuffle=False).restore(state)


def test_a_source_that_draws_its_records_resumes():
    class Drawing:
        draw = np.random.default_rng(0).normal

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"x": self.draw()}

    state = batches(Drawing(), 1, seed=3).state()
    assert state["content"] is None
    batches(Drawing(), 1, seed=3).restore(state)


def test_a_state_from_before_contents_were_known_is_taken():
    state = batches(source(5), 2).state()
    del state["content"]
    batches(source(5), 2).restore(state)


def test_a_position_reads_few_records():
    class Counting:
        read = 0

        def __len__(self):
            return 10**9

        def __getitem__(self, index):
            self.read += 1
            return {"x": index}

    records = Counting()
    stream = batches(records, 4)
    stream.state(), stream.state()
    assert records.read <= 40
