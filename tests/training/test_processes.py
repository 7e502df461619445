"""What a single process agrees on with itself, and how differences between processes are told."""

import json

import jax
import jax.numpy as jnp
import pytest

from seqjax.training import processes
from seqjax.training.processes import Together


def test_alone_every_answer_is_one_s_own():
    together = Together.of({"w": jnp.zeros(3), "rng": jax.random.key(0), "n": 1})
    assert not together.several
    assert together.largest(15, after=jnp.zeros(())) == 15
    assert together.first({"nats": 0.1}) == {"nats": 0.1}
    assert processes.gather_texts("a") == ["a"]
    assert processes.differences({"--seed": "1"}) == []


@pytest.mark.parametrize(
    ("others", "lines"),
    [
        ([{"a": "1", "b": "2"}], []),
        ([{"a": "1", "b": "3"}], ["b is 3 in process 1, 2 in process 0"]),
        ([{"a": "1", "b": "2"}, {"a": "1"}], ["b is None in process 2, 2 in process 0"]),
    ],
)
def test_differences_name_the_setting_and_the_process(monkeypatch, others, lines):
    monkeypatch.setattr(processes, "gather_texts", lambda text: [text, *map(json.dumps, others)])
    assert processes.differences({"a": "1", "b": "2"}) == lines
