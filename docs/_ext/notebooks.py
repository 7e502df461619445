"""Writes each chapter of the course as a notebook to download, from its MyST source."""

from pathlib import Path

import jupytext
from sphinx.application import Sphinx

FOLDER = "learn"


def write_notebooks(app: Sphinx) -> None:
    """Converts `learn/*.md`; a notebook that is up to date is left alone."""
    source = Path(app.srcdir) / FOLDER
    made = source / "_notebooks"
    made.mkdir(exist_ok=True)
    for chapter in sorted(source.glob("[0-9]*.md")):
        text = chapter.read_text(encoding="utf-8")
        # The line with the link to the notebook has no place in it.
        kept = [line for line in text.splitlines() if "{download}" not in line]
        notebook = jupytext.reads("\n".join(kept) + "\n", fmt="md:myst")
        written = jupytext.writes(notebook, fmt="ipynb")
        target = made / f"{chapter.stem}.ipynb"
        if not target.exists() or target.read_text(encoding="utf-8") != written:
            target.write_text(written, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
