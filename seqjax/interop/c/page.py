"""`page`: a language model that writes in a browser, from its C by way of WebAssembly."""

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from seqjax.files.disk import write_atomically
from seqjax.interop.c.writing import save
from seqjax.tasks import Trained

PROGRAM = """#define MODEL_NO_SAMPLE
#include "model.h"

static model_state state;
static float logits[MODEL_OUTPUTS];

__attribute__((export_name("reset"))) void reset(void) { model_reset(&state); }

__attribute__((export_name("step"))) float *step(int token) {
  model_step(&state, token, logits);
  return logits;
}
"""
"""What the page calls; it draws the tokens itself."""

OPTIONS = ("-std=c99", "-O3", "-msimd128", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry")


def page(
    trained: Trained,
    folder: str | os.PathLike,
    *,
    weights: Literal["float32", "int8"] = "int8",
) -> None:
    """Writes a web page on which a character model writes: `index.html`, without a server.

    The page holds the model as WebAssembly and asks nothing of the network. It is made by a compiler
    that knows WebAssembly: `clang` with `wasm-ld`, or the package `ziglang` (`pip install ziglang`).

    Args:
      trained: a `text.LanguageModel` of characters.
      folder: is made where it is missing.
      weights: see `save`.

    Raises:
      TypeError: it is no trained language model.
      ValueError: its tokens are longer than a character, or C lacks a layer of it.
      ModuleNotFoundError: there is no such compiler.
    """
    codec = getattr(getattr(trained, "task", None), "codec", None)
    if codec is None:
        raise TypeError("a page wants a trained text.LanguageModel; write others with c.save")
    characters = [codec.decode([token]) for token in range(len(codec))]
    if any(len(character) != 1 for character in characters):
        raise ValueError(
            "a page writes characters, and this model's tokens are longer; write it with c.save"
        )
    template = resources.files("seqjax.interop.c").joinpath("page.html").read_text(encoding="utf-8")
    script = {
        "CHARACTERS": json.dumps(characters).replace("<", "\\u003c"),
        "OPENING": json.dumps(trained.task.opening).replace("<", "\\u003c"),
        "MODULE": json.dumps(base64.b64encode(_module(trained, weights)).decode()),
    }
    for name, value in script.items():
        template = template.replace(f"/*{name}*/ null", value)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "index.html", template.encode())


def _module(model: Any, weights: Literal["float32", "int8"]) -> bytes:
    """Compiles a model to WebAssembly that exports `memory`, `reset` and `step`."""
    compiler = _compiler()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(model, folder / "model.h", weights=weights)
        (folder / "page.c").write_text(PROGRAM)
        command = [*compiler, *OPTIONS, "page.c", "-o", "page.wasm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{compiler[0]} cannot make WebAssembly: {done.stderr.strip()}")
        return (folder / "page.wasm").read_bytes()


def _compiler() -> list[str]:
    """Returns the command of a compiler for WebAssembly.

    Raises:
      ModuleNotFoundError: there is none.
    """
    if shutil.which("clang") and shutil.which("wasm-ld"):
        return ["clang", "--target=wasm32"]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding"]
    raise ModuleNotFoundError(
        "a page wants a compiler for WebAssembly: pip install ziglang, or install clang and lld"
    )
