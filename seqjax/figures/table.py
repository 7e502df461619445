"""Tables of rows with the same keys: as Markdown, and as plain text for a terminal."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Writes rows with the same keys as a Markdown table, numbers to four figures.

    Example:
      >>> print(markdown_table([{"model": "gru", "nats": 1.56649}]), end="")
      | model | nats |
      |---|---|
      | gru | 1.566 |
    """
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [number(row[name]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plain_table(rows: Sequence[Mapping[str, Any]], width: int = 80) -> str:
    """Writes rows with the same keys as a table of plain text, numbers to four figures.

    A table that is too wide is turned: each key has a line, and each row a column. One that is still
    too wide becomes blocks, one for each row, whose long values are broken.

    Args:
      rows: of the table.
      width: characters of a line, at most.

    Example:
      >>> print(plain_table([{"model": "gru", "nats": 1.56649}, {"model": "lstm", "nats": 1.5}]), end="")
      model   nats
      gru    1.566
      lstm     1.5
    """
    names = list(rows[0])
    grid = [names]
    for row in rows:
        grid.append([number(row[name]) for name in names])
    turned = [list(column) for column in zip(*grid, strict=True)]
    for cells in (grid, turned):
        lines = _lines_of(cells)
        if max(map(len, lines)) <= width:
            return "\n".join(lines) + "\n"
    blocks = [_block(names, cells, width) for cells in grid[1:]]
    return "\n".join(blocks)


def number(value: Any) -> str:
    """A value as a table shows it: four figures, powers of ten for what is very small or large."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not finite" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{value:.4g}"


def _lines_of(grid: Sequence[Sequence[str]]) -> list[str]:
    """Lays cells out in columns: the first one's begin below each other, the others' end so."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = []
    for first, *others in grid:
        line = first.ljust(widths[0])
        for cell, wide in zip(others, widths[1:], strict=True):
            line += "  " + cell.rjust(wide)
        lines.append(line.rstrip())
    return lines


def _block(names: Sequence[str], cells: Sequence[str], width: int) -> str:
    """Writes a row as lines of names and values."""
    wide = max(map(len, names)) + 2
    text = ""
    for name, cell in zip(names, cells, strict=True):
        whole = textwrap.fill(
            cell,
            width,
            initial_indent=name.ljust(wide),
            subsequent_indent=" " * wide,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text += whole.rstrip() + "\n"
    return text
