"""Runs the code of a page of `docs/` as it stands there, block after block."""

import re
import shutil
import subprocess
from pathlib import Path

import jax
import pytest

DOCS = Path(__file__).parents[1] / "docs"

TEXT = ("bash", "pbtxt")
"""Blocks that are copied, not run here."""


def blocks_of(page):
    """The blocks of a page, each with the words behind its fence: `python`, `python elsewhere`."""
    fence = re.compile(r"^```([^`\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return fence.findall(page.read_text(encoding="utf-8"))


def run_page(page):
    """Runs a page in the present folder; returns its names, what its C printed, and how many blocks were left out."""
    names, printed, left_out = {"__name__": page.stem}, "", 0
    # As users have it: NumPy's broadcasting is allowed.
    with jax.numpy_rank_promotion("allow"):
        for kind, code in blocks_of(page):
            if kind == "python":
                exec(compile(code, str(page), "exec"), names)
            elif kind == "c":
                printed += run_c(code)
            elif kind == "python elsewhere":
                compile(code, str(page), "exec")
                left_out += 1
            elif not kind.startswith("{"):  # of the site: a list of pages
                assert kind in TEXT, f"{page.name}: a block of {kind!r}, which nothing runs"
    return names, printed, left_out


def run_c(code):
    """Compiles a program without a warning and runs it; its first line is its name."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    name = re.match(r"/\* (\w+\.c) \*/\n", code).group(1)
    Path(name).write_text(code)
    words = ["cc", "-std=c99", "-Wall", "-Werror", name, "-o", "program", "-lm"]
    subprocess.run(words, check=True)
    return subprocess.run(["./program"], capture_output=True, text=True, check=True).stdout
