"""Fingerprints: equal for equal examples alone, in every process."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqjax.data import Records, fingerprint


@dataclasses.dataclass
class Pair:
    left: list
    right: object = None


DIFFERENT = [
    None,
    "ab",
    b"ab",
    ["a", "b"],
    [["a"], "b"],
    ["a", ["b"]],
    ["", "ab"],
    {"a": "b"},
    1,
    1.0,
    True,
    "1",
    np.arange(4),
    np.arange(4.0),
    np.arange(4).reshape(2, 2),
    np.array(["a", None], object),
    Pair(["a"]),
    Pair(["b"]),
    Records({"x": np.arange(3)}),
    Records({"x": np.arange(4)}),
    "\ud800",
]


def test_different_examples_differ():
    found = [fingerprint(value) for value in DIFFERENT]
    assert len(set(found)) == len(DIFFERENT)


def test_equal_examples_are_equal():
    array = np.arange(12).reshape(3, 4)
    assert fingerprint(array.T) == fingerprint(np.ascontiguousarray(array.T))
    assert fingerprint(("a", 1)) == fingerprint(["a", 1])
    assert fingerprint(Path("a/b")) == fingerprint("a/b")
    assert fingerprint(np.float64(1.5)) == fingerprint(1.5)
    assert fingerprint(np.int8(3)) == fingerprint(3) != fingerprint(np.bool(True))


def test_another_process_agrees():
    code = "from seqjax.data import fingerprint; print(fingerprint({'a': ['b', 1.5, None]}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint({"a": ["b", 1.5, None]})


def test_what_has_none_is_refused():
    with pytest.raises(TypeError, match="object has no fingerprint; give text, numbers"):
        fingerprint(["a", object()])
