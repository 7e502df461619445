"""The command `seqjax`: runs the experiments that come with the library, and checks an installation.

seqjax                       # lists the experiments
seqjax run char_lm --help    # an experiment, as `python -m experiments.char_lm` runs it
seqjax doctor                # checks the installation
"""

import importlib.util
import pkgutil
import runpy
import sys
import textwrap
from pathlib import Path

HELPERS = ("cli", "table", "transformer")
"""Modules of the experiments that are none."""

USAGE = """usage: seqjax run EXPERIMENT [options]
       seqjax doctor
       seqjax --version

experiments (seqjax run EXPERIMENT --help says more of each):"""


def main() -> int:
    """Runs the command line and returns its exit code: 2 where the words cannot be understood."""
    match sys.argv[1:]:
        case [] | ["-h" | "--help", *_]:
            print(USAGE)
            for name, about in experiments():
                print(
                    textwrap.fill(
                        about, 80, initial_indent=f"  {name:26}", subsequent_indent=" " * 28
                    )
                )
        case ["--version"]:
            import seqjax

            print(f"seqjax {seqjax.__version__}")
        case ["doctor"]:
            from seqjax.doctor import main as check

            return check()
        case ["run", name, *words]:
            return _run(name, words)
        case ["run"]:
            return _refuse("seqjax run wants an experiment")
        case [word, *_]:
            return _refuse(f"{word!r} is no command of seqjax")
    return 0


def experiments() -> list[tuple[str, str]]:
    """Lists the experiments that are installed, each with the first sentence of its page."""
    spec = importlib.util.find_spec("experiments")
    if spec is None or spec.submodule_search_locations is None:
        return []
    found = []
    for folder in spec.submodule_search_locations:
        for module in pkgutil.iter_modules([folder]):
            if module.name in HELPERS:
                continue
            page = Path(folder, f"{module.name}.py").read_text(encoding="utf-8")
            first = page.splitlines()[0].strip('"')
            found.append((module.name, first.partition(": ")[2] or first))
    return sorted(found)


def _run(name: str, words: list[str]) -> int:
    known = [known for known, _ in experiments()]
    if name not in known:
        shown = ", ".join(known) or "none, for the package experiments is not installed"
        return _refuse(f"there is no experiment {name!r}; there are {shown}")
    sys.argv = [name, *words]
    runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    return 0


def _refuse(line: str) -> int:
    print(f"error: {line} (see seqjax --help)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
