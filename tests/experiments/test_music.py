"""Music from the command line, on tiny settings."""

import functools
import json

import numpy as np
import pytest

import seqjax
from experiments import music as page
from seqjax import files
from tests.datasets.data_files import scales
from tests.experiments.running import run_page

TINY = (
    *("--hidden-size", "6", "--nade-size", "4", "--dropout", "0", "--batch-size", "8", "--quiet"),
    *("--epochs", "20", "--every", "10", "--learning-rate", "0.05", "--average", "0.5"),
)

pytestmark = pytest.mark.usefixtures("quick_compile")

call = functools.partial(run_page, page)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    """A run on the tiny chorales, scored on their test set."""
    folder = tmp_path_factory.mktemp("music") / "run"
    with pytest.MonkeyPatch.context() as patch:
        words = ("--data-dir", tiny, "--test", "--out", folder)
        assert call(patch, *TINY, *words) == 0
    return folder


def test_pieces_are_learnt_and_scored(run):
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "test" and result["counts"]["pieces"] == 2
    evaluations = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    nats = [line["nats"] for line in evaluations if line["kind"] == "evaluation"]
    assert nats[-1] < nats[0] < 40 and result["scores"]["nats"] < nats[0]
    for name in ("composed.mid", "composed.wav", "composed.png", "prediction.png", "loss.png"):
        assert (run / name).exists()


def test_pieces_are_composed_in_every_form(run, tmp_path, monkeypatch, capsys):
    words = ("compose", run, "--length", "20", "--seed", "1")
    for ending in ("mid", "wav", "png"):
        path = tmp_path / f"a.{ending}"
        assert call(monkeypatch, *words, "--output", path) == 0
        assert capsys.readouterr().out == f"20 frames, 12 s: {path}\n" and path.stat().st_size > 100
    assert len(files.read_midi(tmp_path / "a.mid", 1)) <= 20

    opening = scales(1)[0][:6]
    files.write_midi(tmp_path / "b.mid", opening, 1)
    words = ("compose", run, "--length", "3", "--opening", tmp_path / "b.mid")
    assert call(monkeypatch, *words, "--output", tmp_path / "c.mid") == 0
    np.testing.assert_array_equal(files.read_midi(tmp_path / "c.mid", 1)[:6], opening)
    assert call(monkeypatch, *words, "--output", tmp_path / "d.mid", "--transpose", "-12") == 0
    lower = files.read_midi(tmp_path / "d.mid", 1)[:6]
    np.testing.assert_array_equal(lower, np.roll(opening, -12, axis=1))


def test_midi_files_of_ones_own(tmp_path, monkeypatch, capsys, run):
    for part, count in (("train", 4), ("dev", 2), ("test", 2)):
        (tmp_path / part).mkdir()
        for place, roll in enumerate(scales(count)):
            files.write_midi(tmp_path / part / f"{place}.mid", roll, 0.25)
    own = [word for part in ("train", "dev", "test") for word in (f"--{part}", tmp_path / part)]
    words = ("--head", "independent", "--epochs", "1", "--out", tmp_path / "run")
    assert call(monkeypatch, *TINY, *own, *words) == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["split"] == "test"
    assert result["counts"]["frames"] == sum(map(len, scales(2)))
    model = seqjax.load(tmp_path / "run")
    assert model.task.model.nade_size is None and model.task.beats == 0.25
    capsys.readouterr()
    assert call(monkeypatch, "evaluate", tmp_path / "run", tmp_path / "test") == 0
    assert f"nats  {result['scores']['nats']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--train", "a"), "--train and --dev go together; give both"),
        (("--train", "a", "--dev", "b"), "a: no such file"),
        (("--train", "a.mat", "--dev", "b.mat"), "a.mat: no such file"),
        (("compose", "RUN", "--output", "a.ogg"), "a.ogg: the ending is '.ogg'"),
        (("compose", "RUN", "--temperature", "-1"), "--temperature is -1"),
    ],
)
def test_mistakes(monkeypatch, capsys, run, words, message):
    assert call(monkeypatch, *(run if word == "RUN" else word for word in words)) == 2
    assert message in capsys.readouterr().err
