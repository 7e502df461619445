"""The README's code runs as it stands there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_compile")

README = Path(__file__).parents[1] / "README.md"


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, unchecked):
    # Unchecked, for annotations say int where a size is symbolic, of jax.export.
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    assert names["ys"].shape == (32, 50, 256) and names["y"].shape == (32, 64)
    assert names["samples"].tokens.shape == (4, 200)
    assert names["trained"].evaluate((names["rows"], names["labels"]))["accuracy"] > 0.8
    assert sorted(path.name for path in (tmp_path / "trend").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]
    assert names["small"].predict(names["rows"][:9]) == names["trained"].predict(names["rows"][:9])
    assert "writer_step(" in (tmp_path / "writer.h").read_text()
    assert names["metrics"]["finite"] == 1 and names["metrics"]["gradient_norm"] > 0
    assert names["difference"] < 1e-5
