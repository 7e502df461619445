"""Batches of lists and iterators: counted, and passed over on a resume."""

import pytest

from seqjax.training.sources import counted, skip


def test_a_list_is_moved_to_its_position_and_an_iterator_stands_there():
    source = counted("abcd", {"batches": 2})
    assert (next(source), source.state()) == ("c", {"batches": 3})
    source = counted(iter("cd"), {"batches": 2})
    assert (next(source), source.state()) == ("c", {"batches": 3})
    assert "".join(counted("abcd")) == "abcd"


def test_skip_says_how_many_there_are():
    batches = iter("abcd")
    skip(batches, 3)
    assert list(batches) == ["d"]
    with pytest.raises(ValueError, match="took 5 batches and only 4 are there"):
        skip(iter("abcd"), 5)
