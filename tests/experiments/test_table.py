"""The table of run folders."""

import json

import pytest

from experiments import table


@pytest.fixture
def runs(tmp_path):
    for name, minutes in (("b", 3.0), ("a", 12.5)):
        folder = tmp_path / name
        folder.mkdir()
        scores = {"test_error": 0.012345, "characters_a_second": 12345.6}
        result = {
            "command": f"python -m experiments.{name}",
            "minutes": minutes,
            "scores": scores,
            "split": "test",
        }
        (folder / "result.json").write_text(json.dumps(result))
    return [str(tmp_path / "b"), str(tmp_path / "a")]


def test_a_terminal_is_given_a_block_for_each_run(runs, capsys):
    table.main(runs)
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines() == [
        "command      python -m experiments.a",
        "minutes      12.5",
        "measured on  test",
        "measured     test error 0.01235, characters a second 12,346",
    ]
    assert second.startswith("command      python -m experiments.b\n")


def test_the_site_is_given_a_row_of_markdown_for_each_run(runs, capsys):
    table.main(["--markdown", *runs])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| command | minutes | measured on | measured |", "|---|---|---|---|"]
    assert (
        lines[2]
        == "| `python -m experiments.a` | 12.5 | test | test error 0.01235, characters a second 12,346 |"
    )
    assert lines[3].startswith("| `python -m experiments.b` | 3 | test |")


def test_a_folder_without_a_result_is_named(tmp_path):
    with pytest.raises(ValueError, match="no result.json"):
        table.main([str(tmp_path)])
    with pytest.raises(ValueError, match="no run folder given"):
        table.main([])
