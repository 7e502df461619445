"""Tables as Markdown and as plain text."""

from seqjax.figures import markdown_table, plain_table

ROWS = [{"model": "gru", "nats": 1.56649, "steps": 1200}, {"model": "a", "nats": 0, "steps": 1}]


def test_a_markdown_table_has_a_line_for_each_row():
    assert markdown_table(ROWS).splitlines() == [
        "| model | nats | steps |",
        "|---|---|---|",
        "| gru | 1.566 | 1,200 |",
        "| a | 0 | 1 |",
    ]


def test_a_plain_table_has_columns():
    assert plain_table(ROWS).splitlines() == [
        "model   nats  steps",
        "gru    1.566  1,200",
        "a          0      1",
    ]


def test_a_wide_table_is_turned():
    rows = [{"model": name} | {f"score {n}": 0.5 for n in range(20)} for name in ("gru", "lstm")]
    lines = plain_table(rows).splitlines()
    assert lines[0].split() == ["model", "gru", "lstm"] and len(lines) == 21
    assert lines[20] == "score 19  0.5   0.5"


def test_a_table_that_is_wide_both_ways_becomes_blocks():
    rows = [{"command": "run --this " * 20, "minutes": 3, "n": name} for name in "abcdefgh"]
    text = plain_table(rows)
    assert max(map(len, text.splitlines())) <= 80
    blocks = text.split("\n\n")
    assert len(blocks) == 8
    assert blocks[0].splitlines()[-2:] == ["minutes  3", "n        a"]
