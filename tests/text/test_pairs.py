"""Pairs from files, and in batches."""

import numpy as np
import pytest

from seqjax.text.pairs import (
    Pairs,
    held_out,
    load_splits,
    pair_batches,
    read_pairs,
    read_splits,
    source_batches,
)


def ragged(lengths, base):
    return [base + np.arange(length) for length in lengths]


def test_every_pair_comes_once_beside_its_own_target_in_few_shapes():
    sources, targets = ragged([1, 5, 2, 9, 3, 3, 7], 10), ragged([4, 1, 2, 3, 8, 1, 2], 50)
    seen, shapes = [], set()
    for batch in pair_batches(sources, targets, tokens=18, buckets=3, once=True):
        assert batch["source"].shape == batch["targets"].shape and batch["source"].size <= 18
        shapes.add(batch["source"].shape)
        for row, index in enumerate(batch["indices"]):
            if index < 0:
                assert batch["source_lengths"][row] == batch["target_lengths"][row] == 0
                continue
            seen.append(index)
            for name, counted, rows in (
                ("source", "source_lengths", sources),
                ("targets", "target_lengths", targets),
            ):
                length = batch[counted][row]
                assert batch[name][row, :length].tolist() == rows[index].tolist()
                assert not batch[name][row, length:].any()
    assert sorted(seen) == list(range(7)) and len(shapes) <= 3


def test_an_endless_stream_goes_on_where_it_was_left():
    sources = ragged([1, 2, 3, 4, 5, 6], 10)
    stream, again = (pair_batches(sources, sources, tokens=12, buckets=2, seed=3) for _ in range(2))
    for _ in range(5):
        next(stream)
    again.restore(stream.state())
    for _ in range(5):
        np.testing.assert_array_equal(next(stream)["indices"], next(again)["indices"])


def test_a_pair_longer_than_the_budget_makes_a_batch_alone():
    batch = next(pair_batches(ragged([40], 1), tokens=10, once=True))
    assert batch["source"].shape == (1, 40) and "targets" not in batch


def test_sides_that_differ_in_number_are_refused():
    with pytest.raises(ValueError, match="2 sources and 1 targets"):
        pair_batches(ragged([1, 2], 1), ragged([1], 1), tokens=10)
    with pytest.raises(ValueError, match="no pair"):
        pair_batches([], tokens=10)


def test_pairs_are_read_from_a_table_or_from_two_aligned_files(tmp_path):
    (tmp_path / "table.tsv").write_text("ein Haus\ta house\nzwei \t two\n")
    (tmp_path / "x.de").write_text("ein Haus\nzwei\n")
    (tmp_path / "x.en").write_text("a house\ntwo\n")
    wanted = (["ein Haus", "zwei"], ["a house", "two"])
    assert read_pairs(str(tmp_path / "table.tsv")) == wanted
    for head in (
        "source\ttarget\nein Haus\ta house\nzwei\ttwo\n\n",
        "Target\tSource\na house\tein Haus\ntwo\tzwei\n",
    ):
        (tmp_path / "named.tsv").write_text(head)
        assert read_pairs(str(tmp_path / "named.tsv")) == wanted
    assert read_pairs(f"{tmp_path}/x.de,{tmp_path}/x.en") == wanted


@pytest.mark.parametrize(
    ("files", "names", "message"),
    [
        ({"a": "x\ny\nz\n", "b": "x\ny\n"}, "a,b", r"a has 3, .*b has 2"),
        ({"a": "x\n\n", "b": "x\ny\n"}, "a,b", r"a, line 2: empty"),
        ({"a": "x\ty\nz\t\n"}, "a", r"a, line 2: an empty target"),
        ({"a": "\ty\n"}, "a", r"a, line 1: an empty source"),
        ({"a": "x\ty\nz\n"}, "a", r"a, line 2: 1 columns"),
        ({"a": "en\tde\nz\n"}, "a", r"a, line 2: 1 columns"),
        ({"a": ""}, "a", r"a: empty"),
        ({"a": "x\ty\n"}, "a,a,a", r"names 3 files"),
    ],
)
def test_what_is_no_pair_is_named_with_its_line(tmp_path, files, names, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pairs(",".join(f"{tmp_path}/{name}" for name in names.split(",")))


def test_what_is_missing_is_taken_out_of_training_and_nothing_else_is():
    train = Pairs([f"s{i}" for i in range(400)], [f"t{i}" for i in range(400)])
    given = Pairs(["x"], ["y"])
    both, one = held_out({"train": train}), held_out({"train": train, "test": given})
    assert sorted(sum((part.sources for part in both.values()), [])) == sorted(train.sources)
    assert all(
        source[1:] == target[1:]
        for part in both.values()
        for source, target in zip(*part, strict=True)
    )
    assert one["test"] == given and one["validation"] == both["validation"]
    assert len(one["train"].sources) == 400 - len(one["validation"].sources)
    none = held_out({"train": train, "validation": given, "test": given})
    assert none["train"] == train


def test_parts_are_read_or_taken_out_and_none_is_empty(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"s{row}\tt{row}\n" for row in range(200)))
    parts = read_splits(str(path))
    assert sum(len(part.sources) for part in parts.values()) == 200 and all(parts.values())
    assert read_splits(str(path), str(path), str(path))["train"] == read_pairs(str(path))
    path.write_text("a\tb\n")
    with pytest.raises(ValueError, match=r"leaves no pair for \w+; give more pairs"):
        read_splits(str(path))


def test_languages_of_a_data_set_differ():
    with pytest.raises(ValueError, match="source and target are both en"):
        load_splits("multi30k", "en", "en")


def test_sources_are_served_in_few_shapes_each_once():
    sources = [np.arange(1, size + 1) for size in (3, 9, 5, 2, 40, 41, 7)]
    shapes, seen = set(), []
    for batch in source_batches(sources, tokens=64):
        shapes.add(batch["source"].shape)
        for row, index in enumerate(batch["indices"]):
            if index >= 0:
                length = batch["source_lengths"][row]
                np.testing.assert_array_equal(batch["source"][row, :length], sources[index])
                seen.append(index)
    assert sorted(seen) == list(range(7)) and len(shapes) <= 3
