"""The endless stream from its command line, on tiny settings."""

import functools
import json

import pytest

from experiments import endless_stream
from tests.experiments.running import run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

call = functools.partial(run_page, endless_stream)
TINY = ("--hidden-size", 4, "--delay", 4, "--steps", 200)


def test_a_run_leaves_a_page_with_every_way_of_learning(monkeypatch, tmp_path, capsys):
    out = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--out", out) == 0
    result = json.loads((out / "result.json").read_text())
    ways = ["forwards", "window 1", "window 10", "window 40"]
    assert list(result["scores"]) == [*ways, "without a memory"]
    assert result["counts"] == {"steps": 200}
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    for word in (*ways, "bytes of the past"):
        assert word in page
    shown = capsys.readouterr().out
    assert all(way in shown for way in ways)


def test_it_has_nothing_to_go_on_with(monkeypatch, tmp_path, capsys):
    assert call(monkeypatch, *TINY, "--resume", tmp_path) == 2
    assert "leave --resume out" in capsys.readouterr().err
