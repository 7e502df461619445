"""The code of the pages runs as it stands there, block after block."""

import importlib
import re
import shutil
import subprocess
import tomllib
import types
from pathlib import Path

import pytest

import seqjax

pytestmark = pytest.mark.usefixtures("quick_compile")

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [*sorted(DOCS.glob("interop/*.md")), *sorted(DOCS.glob("guides/*.md")), DOCS / "laws.md"]

ELSEWHERE = {"weights": 1, "c": 1, "serving": 1}
"""Blocks by page that want another environment: PyTorch, a compiler for WebAssembly, LiteRT."""

TEXT = ("bash", "pbtxt")
"""Blocks that are copied, not run here."""


def blocks_of(page):
    """The blocks of a page, each with the words behind its fence: `python`, `python elsewhere`."""
    fence = re.compile(r"^```([^`\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return fence.findall(page.read_text(encoding="utf-8"))


def run_c(code):
    """Compiles a program without a warning and runs it; its first line is its name."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    name = re.match(r"/\* (\w+\.c) \*/\n", code).group(1)
    Path(name).write_text(code)
    words = ["cc", "-std=c99", "-Wall", "-Werror", name, "-o", "program", "-lm"]
    subprocess.run(words, check=True)
    return subprocess.run(["./program"], capture_output=True, text=True, check=True).stdout


def test_every_page_of_the_folder_is_read():
    names = {page.stem for page in PAGES}
    assert {"weights", "onnx", "stablehlo", "c", "streams", "serving"} <= names
    assert {"from_pytorch", "padding", "own_parts", "sharp_bits", "laws"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, unchecked):
    # Unchecked, for annotations say int where a size is symbolic, of jax.export.
    monkeypatch.chdir(tmp_path)
    names, printed, left_out = {"__name__": page.stem}, "", 0
    for kind, code in blocks_of(page):
        if kind == "python":
            exec(compile(code, str(page), "exec"), names)
        elif kind == "c":
            printed += run_c(code)
        elif kind == "python elsewhere":
            compile(code, str(page), "exec")
            left_out += 1
        elif kind.startswith("{"):
            continue  # of the site: a list of pages, a note
        else:
            assert kind in TEXT, f"{page.name}: a block of {kind!r}, which nothing runs"
    assert left_out == ELSEWHERE.get(page.stem, 0)
    if page.stem == "c":
        assert len(printed) == 40 and set(printed) <= set(names["words"])


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_public_name_is_in_the_reference(monkeypatch):
    """Found by what `dir` shows at run time; the pages are written from the sources."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    pages = importlib.import_module("reference").pages()
    whole = "\n".join(pages.values())
    rooms = [seqjax, *(getattr(seqjax, name) for name in seqjax._ROOMS)]
    missing = []
    for room in rooms:
        for name in public_names(room):
            if not re.search(rf"^::::\{{py:\w+\}} {room.__name__}\.{name}\b", whole, re.MULTILINE):
                missing.append(f"{room.__name__}.{name}")
    assert missing == []


def public_names(room):
    """Names that a room shows and that are its own: no modules, nothing of other packages."""
    for name in dir(room):
        value = getattr(room, name)
        own = str(getattr(value, "__module__", "")).startswith("seqjax")
        if name.startswith("_") or isinstance(value, types.ModuleType) or not own:
            continue
        # A module that is one file imports for itself what it does not define.
        if Path(room.__file__).stem != "__init__" and value.__module__ != room.__name__:
            continue
        yield name


def test_the_page_of_results_has_every_run_once(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    results = importlib.import_module("results")
    runs = results.read_runs((DOCS / "runs.md").read_text(encoding="utf-8"))
    lines = (DOCS / "runs.md").read_text(encoding="utf-8").splitlines()
    assert len(runs) == sum(line.startswith("| `python") for line in lines) > 0
    tasks = tomllib.loads((DOCS / "results.toml").read_text(encoding="utf-8"))["task"]
    written = results.page(runs, tasks)
    for run in runs:
        command = run.command.removeprefix("python -m experiments.")
        assert written.count(f"| `{command}` | {run.minutes} | {run.split} | {run.scores} |") == 1 or run.remark
    with pytest.raises(ValueError, match="no task of results.toml has it"):
        results.by_task([runs[0]._replace(command="python -m experiments.nothing")], tasks)
