"""Prints the README's table of experiments from run folders: `python -m experiments.table runs/*`."""

import sys
from pathlib import Path

from experiments.cli import exit_code, print_whatever_comes
from seqjax.training.folders import read_json


def row(folder: str) -> str:
    """One line of the table from a run's `result.json`."""
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
    split = result.get("split") or ""
    return f"| `{result['command']}` | {result['minutes']:g} | {split} | {', '.join(scores)} |"


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def main(folders: list[str]) -> None:
    """Prints the table of these run folders, in order of their experiments."""
    if not folders:
        raise ValueError("no run folder given; say python -m experiments.table runs/*")
    print("| command | minutes | measured on | measured |\n|---|---|---|---|")
    for line in sorted(row(folder) for folder in folders):
        print(line)


if __name__ == "__main__":
    print_whatever_comes()
    with exit_code():
        main(sys.argv[1:])
