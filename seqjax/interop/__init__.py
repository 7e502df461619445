"""The way in and the way out: weights of other frameworks, and models for other run times.

Everything here wants the extra `interop` (`pip install 'seqjax[interop]'`) and is imported when it
is used first; no foreign framework runs.
"""

import importlib
from typing import Any

_MODULES = {
    "onnx",
    "stablehlo",
}
"""Modules of this package, imported when they are used first."""

_NAMES = {
    "compare": "seqjax.interop.compare",
}
"""Names, and the modules that define them."""


def __getattr__(name: str) -> Any:
    """Imports a module, or a name of one, when it is used first."""
    if name in _NAMES:
        found = getattr(importlib.import_module(_NAMES[name]), name)
        # The import has put a module of the same name in its place.
        globals()[name] = found
        return found
    if name in _MODULES:
        return importlib.import_module(f"seqjax.interop.{name}")
    raise AttributeError(f"module 'seqjax.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})
