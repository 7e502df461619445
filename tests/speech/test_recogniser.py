"""A recogniser: learnt, whole, piece by piece, in time, saved."""

import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

import seqjax
from seqjax import losses, speech, training
from seqjax.files.settings import from_plain, to_plain
from seqjax.models.acoustic import Emissions
from seqjax.speech import decoder, serving, stream
from seqjax.tasks import Trained
from tests.fresh import run_afresh

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = {"bands": 16, "stride": 3, "beam": 4}
BOTH = seqjax.bidirectional(seqjax.LSTM(12))
PLAIN = speech.Augmentation(speeds=(), channels=False, masks=False)


def words(takes=20, speakers=2):
    return speech.synthetic_words(["ab", "ox"], speakers=speakers, takes=takes)


def noise(seconds, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(round(8000 * seconds)) / 9).astype(np.float32)


def connected(count, seed):
    """Arrays of one or two words each, and their texts, as a person has them."""
    clips = words()
    drawn = speech.connect(clips, count, seed, most=2, pause=0.1)
    part = speech.Part(clips, drawn)
    return [utterance.render(clips) for utterance in drawn], part.texts()


@pytest.fixture(scope="module")
def trained():
    """Two made-up words, learnt."""
    examples = connected(100, 0)
    augmentation = speech.Augmentation(masks=False)
    task = speech.Recogniser.of(
        *examples, rate=8000, recurrence=BOTH, augmentation=augmentation, **SMALL
    )
    recipe = training.Recipe(steps=160, every=80, batch_size=12, learning_rate=0.02, average=0.9)
    validation = connected(20, 1)
    return training.fit(task, examples, validation=validation, recipe=recipe, quiet=True)


@pytest.fixture(scope="module")
def fresh():
    """An untrained recogniser that reads one way."""
    task = speech.Recogniser.of(words(3), recurrence=seqjax.GRU(6), convolution=5, **SMALL)
    return Trained(task, task.init(jax.random.key(1)))


def test_it_learns_words_and_writes_them_down(trained, tmp_path):
    sounds, said = connected(40, 2)
    metrics = trained.evaluate((sounds, said))
    assert metrics["wer"] < 0.1 and metrics["cer"] < 0.1 and 0 < metrics["nats"] < 0.5
    texts = trained.predict(sounds)
    assert np.mean(np.array(texts) == np.array(said)) > 0.9
    wrong = np.mean(np.array(trained.predict(sounds, beam=1)) != np.array(said))
    assert metrics["ser"] == pytest.approx(wrong)
    # Files of twice the rate, 16 bits, and arrays of another rate say the same.
    files = []
    for place, samples in enumerate(sounds[:4]):
        files.append(tmp_path / f"{place}.wav")
        soundfile.write(files[-1], seqjax.files.resample(samples, 8000, 16000), 16000)
    assert trained.predict(files) == texts[:4]
    integers = [np.int16(32767 * samples) for samples in sounds[:4]]
    assert trained.predict(integers) == texts[:4]
    twice = [seqjax.files.resample(samples, 8000, 16000) for samples in sounds[:4]]
    assert trained.predict(twice, rate=16000) == texts[:4]


def test_words_have_times(trained):
    clips = speech.synthetic_words(["ab", "ox"], speakers=1, takes=1, seed=1)
    part = speech.Part(clips, [speech.Utterance((0, 1), (400, 800, 400), noise=0.001)])
    (found,) = trained.align(part, ["ab ox"])
    assert [word.text for word in found] == ["ab", "ox"] and trained.align(part) == [found]
    assert found[1].begin == pytest.approx(0.15 + len(clips.samples[0]) / 8000, abs=0.15)
    with pytest.raises(ValueError, match="text 0, 'ab q', has letters that no training text had"):
        trained.align(part, ["ab q"])
    with pytest.raises(ValueError, match="too few steps of sound for 'abababab"):
        trained.align(part, ["ab" * 50])
    with pytest.raises(ValueError, match="1 recordings and 2 texts"):
        trained.align(part, ["ab", "ox"])


def test_a_fresh_process_gives_the_same_answers(trained, tmp_path):
    trained.save(tmp_path / "model")
    soundfile.write(tmp_path / "a.wav", words(1).samples[0], 8000, subtype="FLOAT")
    program = (
        "import seqjax, json\n"
        "model = seqjax.load(sys.argv[1])\n"
        "print(json.dumps([model.predict(sys.argv[2:]), model.align(sys.argv[2:])]))\n"
    )
    files = tmp_path / "model", tmp_path / "a.wav"
    texts, times = run_afresh(program, *files, without=("matplotlib",))
    assert texts == trained.predict([tmp_path / "a.wav"])
    assert times == [
        [list(word) for word in words] for words in trained.align([tmp_path / "a.wav"])
    ]


def test_settings_are_the_whole_task(trained, fresh):
    for task in (trained.task, fresh.task):
        assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
        assert "\n" not in repr(task) and "8,000 samples a second" in repr(task)


def test_ten_lengths_compile_at_most_three_times_and_later_ones_nothing(fresh):
    steps = (
        serving.emit,
        importlib.import_module("seqjax.decoding.ctc.beam")._search,
        decoder._align,
    )
    counts = [step._cache_size() for step in steps]
    lengths = (0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.1)
    fresh.align([noise(seconds) for seconds in lengths])
    after = [step._cache_size() for step in steps]
    assert all(new - old <= 3 for new, old in zip(after, counts, strict=True))
    fresh.align([noise(seconds * 0.99) for seconds in lengths])
    assert [step._cache_size() for step in steps] == after


def test_answers_do_not_depend_on_what_else_is_asked(fresh):
    sounds = [noise(seconds, seed) for seed, seconds in enumerate((0.005, 0.31, 0.9, 0.4, 0.6))]
    together = fresh.predict(sounds, language_model=False)
    assert together == [fresh.predict([sound], language_model=False)[0] for sound in sounds]
    assert together[0] != together[2]


@pytest.mark.parametrize("size", [800, 37, 5000])
def test_a_stream_hears_what_the_whole_gives(fresh, size):
    samples = noise(0.9)
    heard = fresh.stream()
    so_far = [heard.step(samples[at : at + size]) for at in range(0, len(samples), size)]
    whole = heard.finish()
    assert whole == fresh.predict([samples], beam=1)[0] and whole != ""
    assert all(whole.startswith(text.strip()) for text in so_far)
    seconds = [letter.seconds for letter in heard.letters]
    assert seconds == sorted(seconds) and seconds[-1] <= 0.9 + 0.3 + 0.03


def test_steps_give_the_scores_of_the_whole_and_chunks_compile_few_programs(fresh):
    samples = noise(0.3)[:2400]
    part = speech.Part(speech.Clips(8000, [samples], [""], ["a"], ["a"]), [])
    part = speech.Part(part.clips, speech.whole(part.clips))
    ((_, emissions),) = fresh.serve(part)
    state, scores = fresh.initial_state(), []
    for piece in np.split(samples, [720, 960]):
        state, found = fresh.step(state, piece)
        scores.append(found)
    np.testing.assert_allclose(np.concatenate(scores), emissions.logits[0, :10], atol=1e-4)
    count, heard = stream.emit_next._cache_size(), fresh.stream()
    for steps in (1, 2, 3, 5, 6, 7, 9, 11, 13, 14, 15):
        heard.step(np.zeros(steps * 240))
    assert stream.emit_next._cache_size() - count <= 4


def test_a_recogniser_that_reads_both_ways_does_not_stream(trained):
    with pytest.raises(ValueError, match="reads both ways and so waits for the end"):
        trained.stream()


def test_the_loss_is_ctc_a_letter_and_empty_rows_count_nothing(monkeypatch):
    monkeypatch.setattr(speech.recogniser, "BUCKETS", 1)
    task = speech.Recogniser.of(words(3), recurrence=BOTH, augmentation=PLAIN, **SMALL)
    params = task.init(jax.random.key(0))
    total, letters, empty = 0.0, 0, 0
    for batch in task.batches(words(3), once=True):
        loss, aux = task.loss(params, batch, jax.random.key(0), 0)
        features = task.front_end.features(batch["samples"], batch["frames"])
        logits, lengths = task.model.apply({"params": params}, features, lengths=batch["frames"])
        nats = losses.ctc(logits, batch["labels"], lengths, batch["label_lengths"])
        real = np.asarray(batch["indices"]) >= 0
        assert aux.weight == 2 * real.sum()
        assert float(loss) == pytest.approx(float(nats[real].sum()) / (2 * real.sum()), rel=1e-4)
        total, letters = total + float(loss * aux.weight), letters + int(aux.weight)
        empty += (~real).sum()
    assert empty and letters == 2 * 12
    assert task.evaluate(params, words(3))["nats"] == pytest.approx(total / letters, rel=1e-4)


def test_masks_are_drawn_in_training(fresh):
    batch = next(fresh.task.batches(words(3), batch_size=1))
    first, same, other = (fresh.loss(batch, jax.random.key(seed), 0)[0] for seed in (0, 0, 1))
    assert first == same != other


def test_batches_hold_so_many_seconds_and_resume(trained):
    task = trained.task
    batches = task.batches(words(), batch_size=2, seed=3, multiple_of=2)
    first = [next(batches) for _ in range(3)]
    assert all(batch["samples"].size <= 2 * 8000 for batch in first)
    assert all(len(batch["samples"]) % 2 == 0 for batch in first)
    other = task.batches(words(), batch_size=2, seed=3, multiple_of=2)
    next(other)
    again = task.batches(words(), batch_size=2, seed=3, multiple_of=2)
    again.restore(other.state())
    np.testing.assert_array_equal(next(again)["samples"], first[1]["samples"])
    # Once: every utterance as it is, without speeds and channels.
    clips, seen = words(), []
    for batch in task.batches(clips, once=True):
        for index, samples, frames in zip(
            batch["indices"], batch["samples"], batch["frames"], strict=True
        ):
            if index >= 0:
                seen.append(int(index))
                wanted = clips.samples[index][: frames * 80]
                np.testing.assert_array_equal(samples[: frames * 80], wanted)
    assert sorted(seen) == list(range(len(clips)))


def test_a_streaming_one_hears_silence_after_each_recording(fresh, trained, monkeypatch):
    monkeypatch.setattr(speech.recogniser, "BUCKETS", 1)
    assert fresh.task.tail == speech.recogniser.TAIL and trained.task.tail == 0
    (batch,) = fresh.task.batches(words(1), once=True, batch_size=99)
    lengths = [len(samples) // 80 for samples in words(1).samples]
    found = dict(zip(batch["indices"].tolist(), batch["frames"].tolist(), strict=True))
    for row, length in enumerate(lengths):
        assert abs(found[row] - length - 30) <= 1


def test_a_text_that_cannot_be_written_has_no_likelihood_and_is_wrong():
    known = words(2)
    task = speech.Recogniser.of(known, recurrence=BOTH, order=None, **SMALL)
    params = task.init(jax.random.key(0))
    texts = [*known.texts, "áb", "ab" * 60]
    more = ([*known.samples, *known.samples[:2]], texts)
    found, alone = task.evaluate(params, more), task.evaluate(params, known)
    assert found["nats"] == pytest.approx(alone["nats"], rel=1e-4) and found["nats"] > 0
    assert found["ser"] >= 2 / len(texts)
    with pytest.raises(ValueError, match="recording 9: .* steps of sound for 120 of 'abab"):
        task.check(more)
    with pytest.raises(ValueError, match="no language model; make it with order=6"):
        task.tuned(params, known)


def test_the_language_model_is_weighed_by_validation_and_mends_spelling(monkeypatch):
    """Letters that the frames leave open: the texts decide, with the weight that errs least."""
    clips = speech.Clips(8000, [noise(0.1)] * 2, ["no", "yes"], ["ann"] * 2, ["a", "b"])
    task = speech.Recogniser.of(clips, recurrence=BOTH, beam=8)
    codec = speech.LetterCodec.of(["no", "yes"])
    scores = np.full((2, 3, len(codec)), 0.01)
    for row, text in enumerate(("so ", "yes")):
        scores[row, np.arange(3), codec.encode(text)] = 0.4
    scores[0, 0, codec.encode("n")], scores[0, 2, 0] = 0.3, 0.9
    heard = Emissions(jnp.log(scores), jnp.array([3, 3]))
    monkeypatch.setattr(
        speech.Recogniser, "serve", lambda *_: iter([({"indices": np.arange(2)}, heard)])
    )
    # So little weight changes nothing, so much forgets the sound.
    tuned = task.tuned({}, clips, weights=(0.001, 1.0, 99.0), bonuses=(0.0,))
    assert tuned.task.language_model.weight == 1.0 and tuned.task.codec == task.codec
    assert tuned.predict(clips) == ["no", "yes"]
    assert tuned.predict(clips, language_model=False) == ["so", "yes"]
    assert tuned.predict(clips, beam=1) == ["so", "yes"]
    own = speech.LetterModel.of(["so", "yes"], weight=1.0)
    assert tuned.predict(clips, language_model=own) == ["so", "yes"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict(["none.wav"]), "none.wav: no such file"),
        (lambda m: m.predict("a.wav"), "give a list"),
        (lambda m: m.predict([]), "there is no recording"),
        (lambda m: m.predict([np.zeros((5, 2))]), r"recording 0 is float64\[5, 2\]"),
        (lambda m: m.predict([noise(0.1)], beam=0), "beam is 0"),
        (lambda m: m.evaluate(([noise(0.1)], [])), "1 recordings and 0 texts"),
        (lambda m: m.predict([noise(0.1)], rate=4000), "4,000 samples a second; wanted at least"),
        (lambda m: m.batches(([noise(0.01)], ["ab"])), "recording 0: 0 steps of sound for 2"),
    ],
)
def test_mistakes_name_what_to_mend(trained, call, message):
    if message.startswith("recording 0: 0 steps"):
        trained = trained.task
    with pytest.raises(ValueError, match=message):
        call(trained)
