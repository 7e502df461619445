"""Every use of a trained model refuses what is no model of its kind, in one line."""

import importlib

import jax
import pytest

import seqjax
from seqjax.__main__ import experiments
from tests.experiments.running import run_page
from tests.experiments.tiny import Line

PAGES = [importlib.import_module(f"experiments.{name}") for name, _ in experiments()]
VERBS = [(page, verb) for page in PAGES for verb in getattr(page, "VERBS", {})]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that no experiment trains."""
    task = Line(2)
    folder = tmp_path_factory.mktemp("model")
    seqjax.Trained(task, task.init(jax.random.key(0))).save(folder)
    return folder


@pytest.mark.parametrize(("page", "verb"), VERBS, ids=lambda part: getattr(part, "__name__", part))
def test_a_model_of_another_kind_is_one_line(monkeypatch, capsys, folder, tmp_path, page, verb):
    operands = [str(folder)] * len(page.VERBS[verb].operands)
    for given, line in ((folder, "holds a Line; give a "), (tmp_path, "holds no model")):
        assert run_page(page, monkeypatch, verb, given, *operands) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and (line in told or "is no run folder" in told), told
