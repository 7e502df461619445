"""The code of the pages on other frameworks and run times runs as it stands there; the site's links lead somewhere."""

import importlib
import re
import tomllib

import pytest

from tests.pages import DOCS, run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

PAGES = sorted(DOCS.glob("interop/*.md"))

ELSEWHERE = {"weights": 1, "c": 1, "serving": 1}
"""Blocks by page that want another environment: PyTorch, a compiler for WebAssembly, LiteRT."""

WRITTEN = ("reference/", "results.md")
"""Pages that `make docs` writes, and checks."""


def test_every_page_of_the_folder_is_read():
    names = {page.stem for page in PAGES}
    assert names == {"weights", "onnx", "stablehlo", "c", "streams", "serving"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, unchecked):
    # Unchecked, for annotations say int where a size is symbolic, of jax.export.
    monkeypatch.chdir(tmp_path)
    names, printed, left_out = run_page(page)
    assert left_out == ELSEWHERE.get(page.stem, 0)
    if page.stem == "c":
        assert len(printed) == 40 and set(printed) <= set(names["words"])


def headings(page):
    """Names that a link to a heading of a page has after its #."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_links_between_pages_lead_somewhere():
    pages = [
        *DOCS.glob("*.md"),
        *(DOCS / "learn").glob("*.md"),
        *(DOCS / "guides").glob("*.md"),
        *DOCS.parent.glob("*.md"),
        *PAGES,
    ]
    assert len(pages) > 20
    for page in pages:
        for link in re.findall(r"\]\(([^)\s:]+)\)", page.read_text(encoding="utf-8")):
            target, _, heading = link.partition("#")
            there = page.parent / target if target else page
            written = any(part in target for part in WRITTEN)
            assert written or there.exists(), f"{page.name}: {link}"
            assert not heading or written or heading in headings(there), f"{page.name}: {link}"


def test_the_page_of_results_has_every_run_once(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_ext")
    results = importlib.import_module("results")
    table = (DOCS / "runs.md").read_text(encoding="utf-8")
    runs = results.read_runs(table)
    assert len(runs) == table.count("| `python -m") > 0
    tasks = tomllib.loads((DOCS / "results.toml").read_text(encoding="utf-8"))["task"]
    written = results.page(runs, tasks)
    assert written.count(", test | ") + written.count(", validation | ") > 30
    for run in runs:
        command = run.command.removeprefix("python -m experiments.")
        assert written.count(f"| `{command}`{run.remark}, ") == 1
    with pytest.raises(ValueError, match="no task of results.toml has it"):
        results.by_task([runs[0]._replace(command="python -m experiments.nothing")], tasks)
