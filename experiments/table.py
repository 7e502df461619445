"""Prints a table of runs from their folders.

python -m experiments.table runs/*               # for a terminal
python -m experiments.table --markdown runs/*    # as the site has it, in docs/runs.md
"""

import sys
from pathlib import Path
from typing import Any

from experiments.cli import exit_code, print_whatever_comes
from seqjax.figures import markdown_table, plain_table
from seqjax.training.folders import read_json


def row(folder: str) -> dict[str, Any]:
    """Reads one row of the table from a run's `result.json`."""
    path = Path(folder) / "result.json"
    if not path.is_file():
        raise ValueError(f"{folder} has no result.json; let the run finish, or leave it out")
    result = read_json(path)
    if not isinstance(result, dict) or not {"command", "minutes", "scores"} <= result.keys():
        raise ValueError(
            f"{path} is not what an experiment writes; let the run finish again, or leave it out"
        )
    scores = []
    for name, value in result["scores"].items():
        scores.append(f"{name.replace('_', ' ')} {_number(value)}")
    return {
        "command": result["command"],
        "minutes": f"{result['minutes']:g}",
        "measured on": result.get("split") or "",
        "measured": ", ".join(scores),
    }


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main(words: list[str]) -> None:
    """Prints the table of these run folders, in order of their experiments."""
    folders = [word for word in words if word != "--markdown"]
    if not folders:
        raise ValueError("no run folder given; say python -m experiments.table runs/*")
    rows = sorted(map(row, folders), key=lambda row: row["command"])
    if "--markdown" in words:
        for one in rows:
            one["command"] = f"`{one['command']}`"
        print(markdown_table(rows), end="")
    else:
        print(plain_table(rows), end="")


if __name__ == "__main__":
    print_whatever_comes()
    with exit_code():
        main(sys.argv[1:])
