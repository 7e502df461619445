"""The reference has every public name."""

import importlib
import inspect
import re
import types
from pathlib import Path

import pytest

import seqjax
from tests.pages import DOCS


@pytest.fixture(scope="module")
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_ext")
        yield importlib.import_module("reference")


@pytest.fixture(scope="module")
def pages(reference):
    return reference.pages()


def public_names(room):
    """Names that a room shows and that are its own: no modules, nothing of other packages."""
    whole_file = Path(room.__file__).stem != "__init__"
    for name in dir(room):
        value = getattr(room, name)
        module = str(getattr(value, "__module__", ""))
        if name.startswith("_") or isinstance(value, types.ModuleType):
            continue
        # A room that is one file imports for itself what it does not define.
        if not module.startswith("seqjax") or (whole_file and module != room.__name__):
            continue
        yield name


@pytest.mark.parametrize("room", ["seqjax", *seqjax._ROOMS])
def test_every_public_name_has_an_entry(pages, room):
    # By what `dir` shows at run time; the pages are written from the sources.
    module = seqjax if room == "seqjax" else getattr(seqjax, room)
    whole = pages[f"{module.__name__}.md"]
    for name in public_names(module):
        assert re.search(rf"^::::\{{py:\w+\}} {name}\b", whole, re.MULTILINE), name


def test_signatures_read_as_they_were_written(pages):
    core = pages["seqjax.md"]
    assert (
        "{py:function} unroll(recurrence: Recurrence, params: Params, xs: ArrayLike | list" in core
    )
    assert "{py:class} LSTM(hidden_size: int, *, forget_bias: float = 1.0" in core
    assert "-> Float[Array, '']" in pages["seqjax.losses.md"]


def test_docstrings_become_markdown(reference):
    docstring = """Computes `a*b` of *all* {rows}.

        y = a * b

    Args:
      a: one,
        `[n]`.
      b: the `other` one.

    Returns:
      A number.

    Example:
      >>> 1 + 1
      2
    """
    found = reference.markdown_of(inspect.cleandoc(docstring), lambda code: f"`{code}`")
    assert found == WANTED


WANTED = """Computes `a*b` of \\*all\\* \\{rows\\}.

```text
y = a * b
```

**Args**

* `a`: one,
  `[n]`.
* `b`: the `other` one.

**Returns**

A number.

**Example**

```pycon
>>> 1 + 1
2
```"""
