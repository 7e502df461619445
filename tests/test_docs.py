"""The code of the pages runs as it stands there, block after block."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_compile")

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("interop/*.md"))

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
    assert names == {"weights", "onnx", "stablehlo", "c", "streams", "serving"}


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
        else:
            assert kind in TEXT, f"{page.name}: a block of {kind!r}, which nothing runs"
    assert left_out == ELSEWHERE.get(page.stem, 0)
    if page.stem == "c":
        assert len(printed) == 40 and set(printed) <= set(names["words"])


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
