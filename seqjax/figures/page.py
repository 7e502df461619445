"""A report that is one file: pictures and the numbers behind them in one HTML page that needs nothing else."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqjax.figures.table import number
from seqjax.files.disk import write_atomically

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.8rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { background: #f4f4f4; } th:first-child, td:first-child { text-align: left; }
"""


class Section(NamedTuple):
    """A part of a report.

    Attributes:
      title: its heading.
      text: paragraphs, parted by empty lines.
      pictures: PNG files, which are copied into the page.
      table: rows with the same keys, shown as a table.
      details: further rows, folded away behind a line to click on.
    """

    title: str
    text: str = ""
    pictures: Sequence[str | os.PathLike] = ()
    table: Sequence[Mapping[str, Any]] = ()
    details: Sequence[Mapping[str, Any]] = ()


def write_html(path: str | os.PathLike, title: str, sections: Sequence[Section]) -> None:
    """Writes one self-contained HTML page, whole or not at all.

    Args:
      path: the file.
      title: of the page.
      sections: its parts.
    """
    body = "\n".join(_section(section) for section in sections)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1>\n{body}"
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}\n</body></html>\n'
    write_atomically(path, page.encode())


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    parts += [
        f"<p>{html.escape(' '.join(p.split()))}</p>"
        for p in section.text.split("\n\n")
        if p.strip()
    ]
    for picture in section.pictures:
        encoded = base64.b64encode(Path(picture).read_bytes()).decode("ascii")
        parts.append(
            f'<p><img alt="{html.escape(Path(picture).stem)}" src="data:image/png;base64,{encoded}"></p>'
        )
    parts += [_table(section.table)] if section.table else []
    if section.details:
        parts.append(f"<details><summary>The numbers</summary>{_table(section.details)}</details>")
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = lambda tag, values: "".join(f"<{tag}>{html.escape(v)}</{tag}>" for v in values)  # noqa: E731
    lines = [f"<tr>{cells('td', map(number, row.values()))}</tr>" for row in rows]
    return f"<table><tr>{cells('th', map(str, rows[0]))}</tr>\n" + "\n".join(lines) + "</table>"
