"""What `python -m build` makes: a wheel for each platform, one for all without a compiler, a source distribution."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import seqjax

ROOT = Path(seqjax.__file__).parents[1]
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md")
NAME = f"seqjax-{seqjax.__version__}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="compilers are chosen by CC")

COMPILER = """#!/bin/sh
# Takes the place of a compiler: makes what -o names.
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then : > "$2"; fi
  shift
done
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the sources, for a build leaves files beside them."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    for name in ("seqjax", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def build(project, kind, compiler):
    """Runs a command of setuptools; returns the file that it made and its words."""
    shutil.rmtree(project / "build", ignore_errors=True)
    shutil.rmtree(project / "dist", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", kind],
        cwd=project,
        env=os.environ | {"CC": compiler, "CXX": compiler},
        capture_output=True,
        text=True,
        check=True,
    )
    (made,) = (project / "dist").iterdir()
    return made, done.stdout + done.stderr


def test_without_a_compiler_the_wheel_is_pure_python_and_says_so(project):
    wheel, said = build(project, "bdist_wheel", "/nonexistent")
    assert wheel.name == f"{NAME}-py3-none-any.whl"
    assert "seqjax is built in pure Python: its CPU kernels were not compiled" in said
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {"py.typed", "interop/c/parts.h", "interop/c/page.html", "kernels/native.py"}
    assert {f"seqjax/{name}" for name in files} | {"experiments/char_lm.py"} <= names
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if name.startswith("tests") or name.endswith((".cc", ".so"))]


def test_with_a_compiler_one_wheel_serves_every_python(project, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    wheel, said = build(project, "bdist_wheel", str(compiler))
    assert wheel.name.startswith(f"{NAME}-cp311-abi3-") and "any" not in wheel.name
    assert "pure Python" not in said
    assert "seqjax/kernels/_native.abi3.so" in zipfile.ZipFile(wheel).namelist()


def test_the_source_distribution_holds_what_a_build_needs(project):
    made, _ = build(project, "sdist", "/nonexistent")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    kernels = {str(path.relative_to(ROOT)) for path in ROOT.glob("seqjax/kernels/cpu/*")}
    assert made.name == f"{NAME}.tar.gz" and len(kernels) > 5
    assert kernels | {*SOURCES} - {"MANIFEST.in"} <= names
