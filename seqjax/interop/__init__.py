"""The way in and the way out: weights of other frameworks, and models for other run times.

All of it is imported when it is used first, and no foreign framework runs. Files of ONNX, Keras and
StableHLO want the extra `interop` (`pip install 'seqjax[interop]'`).
"""

import importlib
from typing import Any

_MODULES = ("c", "equinox", "flax", "haiku", "keras", "onnx", "stablehlo", "torch")
"""Formats, each with `save` or `load` of its own."""

_NAMES = {
    "Quantised": "int8",
    "Stream": "stream",
    "compare": "comparison",
    "dequantise": "int8",
    "quantise": "int8",
}
"""Names that are imported when they are used first, and the module of each."""


def __getattr__(name: str) -> Any:
    """Imports a format, or a name, when it is used first."""
    if name in _NAMES:
        return getattr(importlib.import_module(f"seqjax.interop.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"seqjax.interop.{name}")
    raise AttributeError(f"module 'seqjax.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_MODULES})
