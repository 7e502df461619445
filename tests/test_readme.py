"""The README's code runs as it stands there, its length is kept, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, unchecked):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert names["trained"].evaluate((names["rows"], names["labels"]))["accuracy"] > 0.8
    saved = sorted(path.name for path in (tmp_path / "trend").iterdir())
    assert saved == ["model.json", "weights.safetensors"]
    assert names["ys"].shape == (32, 50, 256) and names["y"].shape == (32, 64)
    state, ys = names["layer"].apply(names["variables"], names["xs"], lengths=names["lengths"])
    assert ys.shape == names["module"](names["xs"])[1].shape
    wave = 20 + 5 * names["np"].sin(2 * names["np"].pi * (182 + names["np"].arange(14)) / 7)
    assert abs(names["forecast"].median[0] - wave).max() < 0.5
    assert (names["low"] <= names["high"]).all()


def test_it_is_read_in_one_go():
    assert len(TEXT.splitlines()) <= 150
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
    assert sum(link.endswith((".png", ".svg")) for link in links) >= 2
