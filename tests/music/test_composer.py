"""The composer: that it learns, what it is scored by, and what it writes."""

import jax
import numpy as np
import pytest

import seqjax
from seqjax import files, music, training
from tests.datasets.data_files import scales

pytestmark = pytest.mark.usefixtures("quick_compile")

RECIPE = training.Recipe(epochs=40, every=80, learning_rate=0.02, batch_size=8, average=0.9)


@pytest.fixture(scope="module")
def trained():
    task = music.Composer.of(scales(16), seqjax.LSTM(16), nade_size=12, shift=2, dropout=0.05)
    return training.fit(task, scales(16), validation=scales(4, 1), recipe=RECIPE, quiet=True)


@pytest.fixture(scope="module")
def fresh():
    task = music.Composer.of(scales(4), seqjax.GRU(4), nade_size=3)
    return seqjax.Trained(task, task.init(jax.random.key(1)))


def test_it_learns_both_voices(trained):
    metrics = trained.evaluate(scales(6, 2))
    # Two voices of one pitch: a way up or down is a choice at the two ends alone.
    assert metrics["nats"] < 3 and metrics["accuracy"] > 0.5
    alone = trained.evaluate(np.roll(scales(1, 2)[0], 1, axis=1)[None])
    assert alone["nats"] < 8  # A semitone higher, which training has shifted to as well.


def test_nats_are_those_of_the_frames_but_the_first(fresh):
    """By the model itself, frame after frame, one piece at a time."""
    rolls, later, all_of_them = scales(5, 3), [], []
    variables = {"params": fresh.params}
    for roll in rolls:
        notes = music.notes_of(roll, 2)
        before = np.concatenate([np.full((1, 2), 88), notes[:-1]])
        nats = -np.asarray(fresh.task.model.apply(variables, before[None], notes[None])[1][0])
        later.extend(nats[1:])
        all_of_them.extend(nats)
    metrics = fresh.evaluate(rolls)
    assert metrics["nats"] == pytest.approx(np.mean(later), rel=1e-5)
    assert metrics["nats_with_first"] == pytest.approx(np.mean(all_of_them), rel=1e-5)


def test_accuracy_is_hits_among_what_sounds_or_is_expected(trained):
    rolls = scales(3, 4)
    both = either = 0
    for roll, one in zip(rolls, trained.score(rolls), strict=True):
        assert one.predicted.shape == roll.shape and len(one.nats) == len(roll)
        both += sum(map(min, roll[1:].ravel(), one.predicted[1:].ravel()))
        either += sum(map(max, roll[1:].ravel(), one.predicted[1:].ravel()))
    assert trained.evaluate(rolls)["accuracy"] == pytest.approx(both / either)


def test_a_score_does_not_depend_on_other_pieces_nor_on_where_it_is_cut(fresh, monkeypatch):
    rolls = scales(3, 5)
    rolls[2] = np.concatenate([rolls[2]] * 3)
    together = fresh.score(rolls)
    monkeypatch.setattr("seqjax.music.composer.CHUNK", 7)
    for roll, wanted in zip(rolls, together, strict=True):
        (alone,) = fresh.score([roll])
        np.testing.assert_allclose(alone.nats, wanted.nats, rtol=1e-4)
        np.testing.assert_array_equal(alone.predicted, wanted.predicted)


def test_more_keys_at_once_than_in_training_are_scored(fresh):
    chord = np.zeros((3, 88))
    chord[:, 40:50] = 1
    assert fresh.task.most == 2 and fresh.evaluate([chord])["nats"] > 10


def test_a_batch_is_the_pieces_cut_and_padded(fresh):
    rolls = [np.concatenate([roll] * 2) for roll in scales(5, 6)]
    task = fresh.task.__class__(fresh.task.model, 2, window=11)
    frames, sounds = 0, 0
    for batch in task.batches(rolls, batch_size=4, once=True):
        rows, time, most = batch["notes"].shape
        assert (rows, most) == (4, 2) and batch["lengths"].shape == (4,) and time <= 12
        frames += batch["lengths"].sum()
        for notes, length in zip(batch["notes"], batch["lengths"], strict=True):
            sounds += music.roll_of(notes[1 : length + 1]).sum()
    assert frames == sum(map(len, rolls)) and sounds == sum(roll.sum() for roll in rolls)


def test_what_is_composed_depends_on_the_seed_and_the_opening(trained):
    piece = trained.compose(12, seed=1)
    assert piece.shape == (12, 88) and piece.dtype == np.uint8
    np.testing.assert_array_equal(piece, trained.compose(12, seed=1))
    assert (piece != trained.compose(12, seed=2)).any()
    opening = scales(1, 7)[0][:5]
    greedy = trained.compose(4, opening=opening, temperature=0)
    np.testing.assert_array_equal(greedy[:5], opening)
    # Frame by frame the likeliest one.
    for count in range(5, 9):
        scored = trained.score([np.concatenate([greedy[:count], opening[:1]])])[0]
        np.testing.assert_array_equal(scored.predicted[count], greedy[count])


def test_pieces_are_continued_each_in_its_place(trained):
    openings = [roll[:count] for roll, count in zip(scales(4, 8), (0, 3, 8, 5), strict=True)]
    together = trained.predict(openings, length=5, seed=3)
    np.testing.assert_array_equal(together[0], trained.predict(openings[:1], length=5, seed=3)[0])
    alone = trained.predict(openings[:3], length=5, seed=3)
    for one, other in zip(together, alone, strict=False):
        np.testing.assert_array_equal(one, other)
    assert trained.predict([]) == []


def test_a_stream_hears_what_a_score_reads(trained):
    (roll,) = scales(1, 10)
    (scored,) = trained.score([roll])
    stream = trained.stream()
    before = stream.state
    for frame, nats, predicted in zip(roll, scored.nats, scored.predicted, strict=True):
        np.testing.assert_array_equal(stream.propose(0), predicted)
        before = stream.state
        assert stream.step(frame) == pytest.approx(nats, rel=1e-3, abs=1e-4)
    stream.state = before
    assert stream.step(roll[-1]) == pytest.approx(scored.nats[-1], rel=1e-3, abs=1e-4)
    drawn = np.stack([stream.propose(seed=seed) for seed in range(8)])
    assert drawn.shape == (8, 88) and drawn.any() and (drawn != drawn[:1]).any()
    with pytest.raises(ValueError, match=r"piece 0 is float64\[1, 12\]"):
        stream.step(np.zeros(12))


def test_it_is_saved_and_loaded(trained, tmp_path):
    trained.save(tmp_path)
    again = seqjax.load(tmp_path, music.Composer)
    assert again.task == trained.task and "NADE of 12 units" in repr(again)
    np.testing.assert_array_equal(again.compose(6), trained.compose(6))


def test_a_report_is_figures_pictures_and_music(trained, tmp_path):
    rolls = scales(3, 9)
    report = trained.report(rolls, tmp_path)
    assert report.metrics == trained.evaluate(rolls)
    assert report.counts == {"pieces": 3, "frames": sum(map(len, rolls))}
    lines = (tmp_path / "pieces.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["piece", "frames", "nats"] and len(lines) == 4
    for name in ("prediction.png", "composed.png"):
        assert (tmp_path / name).stat().st_size > 3000
    roll = files.read_midi(tmp_path / "composed.mid", trained.task.beats)
    assert 0 < len(roll) <= 100
    assert np.abs(files.read_wav(tmp_path / "composed.wav")[1]).max() > 20_000


@pytest.mark.parametrize(
    ("pieces", "options", "message"),
    [
        ([], {}, "the pieces have no frame"),
        ([np.zeros((0, 88))], {}, "the pieces have no frame"),
        ([np.zeros((3, 12))], {}, r"piece 0 is float64\[3, 12\]"),
        ([np.zeros((3, 88))], {"window": 0}, "window=0"),
    ],
)
def test_what_cannot_be_learnt_is_told(pieces, options, message):
    with pytest.raises(ValueError, match=message):
        music.Composer.of(pieces, seqjax.GRU(2), **options)


def test_mistakes(fresh):
    with pytest.raises(ValueError, match="reads the future"):
        music.Composer.of(scales(2), seqjax.bidirectional(seqjax.GRU(2)))
    with pytest.raises(ValueError, match="no piece has two frames; give longer music"):
        fresh.evaluate([np.zeros((1, 88))])
    with pytest.raises(ValueError, match="length=0, temperature=1"):
        fresh.compose(0)
    with pytest.raises(ValueError, match="temperature=-1"):
        fresh.compose(3, temperature=-1)
