"""Captions from the command line, on tiny settings."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

import seqjax
from experiments import caption
from seqjax.vision import scenes
from tests.experiments.running import run_in_two, run_page

TINY = (
    *("--side", "16", "--features", "4", "--embedding-size", "8", "--hidden-size", "16"),
    *("--batch-size", "8", "--beam", "2", "--quiet"),
)
LEARN = (
    *("--steps", "60", "--every", "30", "--learning-rate", "0.02"),
    *("--dropout", "0", "--label-smoothing", "0"),
)
TINTS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(caption, "SCENES", {"train": 10**9, "validation": 4, "test": 7, "novel": 5})
    # Those of one object and of two, so that every word is there.
    some = scenes.captions()[:300]
    monkeypatch.setattr(scenes, "captions", lambda: some)


@pytest.fixture
def folder(tmp_path):
    """Pictures in three tints, each with a sentence and one of them with two; a copy of one under another name."""
    random, lines = np.random.default_rng(0), []
    (tmp_path / "images").mkdir()
    for i in range(40):
        tint = list(TINTS)[i % 3]
        pixels = random.integers(0, 56, (12, 9, 3)) + np.array(TINTS[tint])
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / f"{i}.png")
        lines.append(f"{i}.png\tA {tint} one.")
    Image.open(tmp_path / "images" / "0.png").convert("RGBA").save(tmp_path / "images" / "copy.png")
    lines += ["copy.png\tA red one.", "0.png\tRed!"]
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


call = functools.partial(run_page, caption)


def test_pictures_are_learnt_scored_beside_their_neighbours_and_described(
    tmp_path, monkeypatch, capsys, folder
):
    run = tmp_path / "run"
    options = ("--pictures", folder, "--spread", "0.1", "--out", run)
    assert call(monkeypatch, *TINY, *LEARN, *options) == 0
    result = json.loads((run / "result.json").read_text())
    evaluation = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < evaluation["nats"] < 0.5 and evaluation["error"] == pytest.approx(0)
    names = ("bleu", "chrf", "rouge_l")
    assert set(result["scores"]) == {*names, *(f"nearest_{name}" for name in names)}
    assert result["scores"]["rouge_l"] == pytest.approx(100) and result["split"] == "test"
    assert result["counts"]["steps"] == 60 and result["counts"]["best_step"] in (30, 60)
    rows = [line.split("\t") for line in (run / "predictions.tsv").read_text().splitlines()]
    assert len(rows) == result["counts"]["pictures"] > 0
    assert all(said in [text.lower() for text in right] for _, said, *right in rows)
    assert all((run / f"{name}.png").exists() for name in ("loss", "captions", "looks-1"))
    task = seqjax.load(run).task
    assert task.augment and task.beam == 2 and task.spread == 0.1

    paths = folder / "images" / "3.png", tmp_path / "palette.gif"
    Image.fromarray(np.full((40, 30, 3), TINTS["blue"], np.uint8)).convert("P").save(paths[1])
    capsys.readouterr()
    assert call(monkeypatch, "describe", run, *paths, "--output", tmp_path / "seen") == 0
    assert capsys.readouterr().out == f"{paths[0]}: a red one.\n{paths[1]}: a blue one.\n"
    seen = {path.name for path in (tmp_path / "seen").iterdir()}
    assert seen == {"captions.png", "looks-1.png", "looks-2.png"}
    assert call(monkeypatch, "describe", run, paths[1], "--beam", "1") == 0
    assert capsys.readouterr().out == "a blue one.\n"
    assert call(monkeypatch, "describe", run, "none.png") == 2
    assert capsys.readouterr().err == "error: none.png: no such file\n"


@pytest.mark.parametrize("options", [(), ("--no-attention", "--sampling", "0.5")])
def test_scenes_are_drawn_learnt_and_resumed(tmp_path, monkeypatch, options):
    run, other = tmp_path / "run", tmp_path / "other"
    assert call(monkeypatch, *TINY, *options, "--steps", "3", "--every", "2", "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    looked = {"attention", "even_attention"} if not options else set()
    assert set(result["scores"]) == {"exact_match", "novel_exact_match", *looked}
    assert result["counts"]["pictures"] == 7
    assert (run / "looks-1.png").exists() == (not options)
    task = seqjax.load(run).task
    assert not task.augment and task.sampling_steps == 3
    if not options:
        words = (*TINY, "--steps", "3", "--every", "2", "--out", other)
        run_in_two(caption, monkeypatch, 2, *words)
        assert (other / "predictions.tsv").read_text() == (run / "predictions.tsv").read_text()


def test_a_collection_is_learnt(tiny):
    config = caption.Config(pictures="stamps", side=16, data_dir=str(tiny))
    parts = caption.read_or_load(config)
    task = caption.build(config, parts)
    assert task.criterion == "chrf" and task.augment and task.shape == (16, 16, 3)
    assert len(parts.train) and len(parts.test) and parts.origin


def broken(folder):
    (folder / "images" / "7.png").write_bytes((folder / "images" / "8.png").read_bytes()[:60])


def unknown(folder):
    (folder / "images" / "7.png").write_text("no picture")


def missing(folder):
    (folder / "images" / "7.png").unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (broken, "7.png: no image that Pillow reads"),
        (unknown, "unknown format"),
        (missing, "line 8: no image 7.png"),
    ],
)
def test_bad_pictures_end_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, folder, harm, message
):
    harm(folder)
    assert call(monkeypatch, *TINY, "--pictures", folder, "--out", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pictures", "nowhere"), "nowhere: no such folder"),
        (("--side", "8"), "--side is 8; give at least 16"),
        (("describe", "nowhere", "x.png"), "nowhere holds no model"),
        (("describe", "nowhere"), "the following arguments are required: IMAGE"),
        (("--output", "x"), "unrecognized arguments: --output x"),
    ],
)
def test_mistakes_end_with_code_2(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *options) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not [*tmp_path.iterdir()]
