"""The way in and the way out: weights of other frameworks, and models for other run times.

Everything here wants the extra `interop` (`pip install 'seqjax[interop]'`) and is imported when it
is used first; no foreign framework runs.
"""

import importlib
from typing import Any

_LAZY = {
    "equinox": "seqjax.interop.equinox",
    "flax": "seqjax.interop.flax",
    "haiku": "seqjax.interop.haiku",
    "keras": "seqjax.interop.keras",
    "onnx_weights": "seqjax.interop.onnx_weights",
    "torch": "seqjax.interop.torch",
}
"""Modules that are imported when they are used first."""


def __getattr__(name: str) -> Any:
    """Imports a module when it is used first."""
    if name in _LAZY:
        return importlib.import_module(_LAZY[name])
    raise AttributeError(f"module 'seqjax.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
