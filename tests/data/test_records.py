import numpy as np
import pytest

from seqjax.data import Records


def records():
    return Records(
        {
            "x": np.arange(12).reshape(4, 3),
            "word": ["a", "bé", "", "d"],
            "tags": [["A"], [], ["B", "C"], ["D"]],
        }
    )


def test_it_is_a_list_of_dicts():
    source = records()
    assert len(source) == 4
    assert source[-1]["word"] == "d"
    assert [record["word"] for record in source] == ["a", "bé", "", "d"]
    assert [record["tags"] for record in source.__getitems__([2, 0])] == [["B", "C"], ["A"]]
    assert isinstance(source[1:3], Records)
    assert source[1:3][0]["word"] == "bé"


def test_gather_stacks_arrays_and_lists_the_rest():
    got = records().gather(np.array([3, 3, 0]))
    np.testing.assert_array_equal(got["x"], [[9, 10, 11], [9, 10, 11], [0, 1, 2]])
    assert got["word"] == ["d", "d", "a"]


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="columns have lengths {'a': 1, 'b': 2}"):
        Records({"a": [1], "b": [1, 2]})
    with pytest.raises(ValueError, match="at least one"):
        Records({})


@pytest.mark.parametrize(
    "other",
    [
        {"word": ["ab", "c"]},
        {"word": ["a", "bc"], "more": [1, 2]},
        {"words": ["a", "bc"]},
        {"word": [["a"], ["bc"]]},
        {"word": np.array([1, 2])},
        {"word": ["bc", "a"]},
    ],
)
def test_fingerprint_tells_contents_apart(other):
    assert Records({"word": ["a", "bc"]}).fingerprint() != Records(other).fingerprint()


def test_fingerprint_tells_dtype_shape_and_nesting_apart():
    variants = [
        np.arange(4, dtype=np.int32),
        np.arange(4, dtype=np.int64),
        np.arange(4, dtype=np.int64).reshape(4, 1),
        [["a", "b"], ["c"], [], []],
        [["a"], ["b", "c"], [], []],
        [["a\0b"], ["c"], [], []],
    ]
    assert len({Records({"x": variant}).fingerprint() for variant in variants}) == len(variants)


def test_fingerprint_ignores_the_order_of_columns():
    assert (
        Records({"a": [1], "b": ["x"]}).fingerprint()
        == Records({"b": ["x"], "a": [1]}).fingerprint()
    )
