"""The page that writes: its WebAssembly computes what the library does, and its script writes."""

import importlib.util
import json
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

import seqjax
from seqjax import interop, text
from seqjax.tasks import Trained

WORDS = "</script> to be or not to be\n"

# A document of the elements that the script asks for; what is written ends in the process' output.
HARNESS = """
const elements = {prompt: {value: "To be"}, temperature: {value: "0"}, count: {value: "40"}};
globalThis.document = {getElementById: (name) => {
  elements[name] ??= {textContent: ""};
  elements[name].addEventListener ??= (kind, call) => { elements[name].click = call; };
  return elements[name];
}};
"""
ENDING = """
elements.write.click().then(async () => {
  const { instance } = await WebAssembly.instantiate(wasm);
  instance.exports.reset();
  const at = instance.exports.step(3);
  const logits = new Float32Array(instance.exports.memory.buffer, at, characters.length);
  console.log(JSON.stringify({text: elements.text.textContent, logits: Array.from(logits)}));
});
"""


@pytest.fixture(scope="module")
def trained():
    task = text.LanguageModel.of(
        WORDS, seqjax.stack(seqjax.LSTM(8), seqjax.GRU(8)), embedding_size=4
    )
    params = task.init(jax.random.key(0))
    return Trained(task, params | {"head": jax.tree.map(lambda leaf: 4 * leaf, params["head"])})


def test_the_page_writes_what_the_model_writes(trained, tmp_path):
    clang = shutil.which("clang") and shutil.which("wasm-ld")
    if not clang and not importlib.util.find_spec("ziglang") or not shutil.which("node"):
        pytest.skip("no compiler for WebAssembly, or no node")
    interop.c.page(trained, tmp_path / "page", weights="float32")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL).group(1)
    (tmp_path / "page.js").write_text(HARNESS + script + ENDING)
    done = subprocess.run(["node", tmp_path / "page.js"], capture_output=True, check=True)
    found = json.loads(done.stdout)
    (written,) = trained.predict(["to be"], max_length=40, temperature=0)
    assert found["text"] == "To be" + written
    np.testing.assert_allclose(found["logits"], interop.Stream(trained)(3), atol=1e-5)


def test_what_a_page_cannot_write_is_refused(trained, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="a page wants a trained text.LanguageModel"):
        interop.c.page(Trained(trained.task.model, trained.params), tmp_path)
    codec = text.codecs.Lines.of("to be or not\n")
    task = text.LanguageModel.of("to be", seqjax.GRU(4), codec=codec, embedding_size=3)
    with pytest.raises(ValueError, match="a page writes characters, and this model's tokens are"):
        interop.c.page(Trained(task, task.init(jax.random.key(0))), tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install ziglang"):
        interop.c.page(trained, tmp_path / "page")
