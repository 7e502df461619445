"""Packages that one door of `seqjax.interop` alone needs, imported when it is used."""

import importlib
from types import ModuleType


def package(name: str, use: str) -> ModuleType:
    """Imports a package.

    Args:
      name: of the package, as it is imported and as it is installed.
      use: what needs it, for the message.

    Raises:
      ImportError: it is not installed (in one line, with the way to mend it).
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        top = name.split(".")[0]
        raise ImportError(f"{use} wants the package {top}: pip install {top}") from None
