"""The README's table from run folders."""

import json

import pytest

from experiments import table


def test_a_row_holds_command_minutes_and_scores(tmp_path, capsys):
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
    table.main([str(tmp_path / "b"), str(tmp_path / "a")])
    lines = capsys.readouterr().out.splitlines()
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
