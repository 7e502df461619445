"""Sound: librosa's numbers, streams, padding, masks, and files that are not what they claim."""

import functools
import pathlib

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from seqjax import files, speech
from tests.datasets.data_files import write_wav

pytestmark = pytest.mark.usefixtures("quick_compile")

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def golden(name):
    with np.load(GOLDEN / f"audio_{name}.npz") as file:
        return dict(file)


def log_mel_of(numbers):
    settings = {
        name: numbers[name].item() for name in ("rate", "bands", "window", "hop", "low", "high")
    }
    return speech.LogMel(**settings)


@pytest.mark.parametrize("name", ["telephone", "wide"])
def test_features_are_librosas(name, x64):
    numbers = golden(name)
    mel = log_mel_of(numbers)
    filters = speech.mel_filters(mel.rate, mel.fft_size, mel.bands, mel.low, mel.top)
    np.testing.assert_allclose(filters, numbers["filters"], atol=1e-8)
    log_mel = jax.jit(mel)(jnp.asarray(numbers["samples"]))
    # A window of float32 leaves an error of 1e-7 of the energy, whatever the bands hold.
    np.testing.assert_allclose(log_mel, numbers["log_mel"], atol=2e-5)
    cepstra = speech.mfcc(numbers["log_mel"])
    np.testing.assert_allclose(cepstra, numbers["mfcc"], atol=1e-9)
    slopes = speech.deltas(cepstra)
    np.testing.assert_allclose(slopes, numbers["delta"], atol=1e-9)
    np.testing.assert_allclose(speech.deltas(slopes), numbers["delta_delta"], atol=1e-9)


@pytest.mark.parametrize("name", ["down", "up"])
def test_resampling_is_librosas(name):
    numbers = golden(name)
    ours = files.resample(numbers["samples"], int(numbers["rate"]), int(numbers["new_rate"]))
    np.testing.assert_allclose(ours, numbers["polyphase"], atol=1e-6)
    # A filter of other make differs near the edge of the band alone.
    spectra = np.fft.rfft(ours), np.fft.rfft(numbers["soxr_hq"])
    within = int(0.8 * len(spectra[0]) * min(1, numbers["rate"] / numbers["new_rate"]))
    assert np.linalg.norm((spectra[0] - spectra[1])[:within]) < 0.005 * np.linalg.norm(
        spectra[1][:within]
    )
    assert files.resample(numbers["samples"], 8000, 8000).dtype == np.float32


def test_a_stream_gives_the_frames_of_the_whole():
    mel = speech.LogMel(rate=8000, bands=12)
    samples = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    whole = mel(samples)
    assert whole.shape == (2, 12, 12)
    state, pieces = mel.initial_state((2,)), []
    for piece in np.split(samples[:, :960], [80, 400, 560], axis=1):
        state, frames = mel.step(state, piece)
        pieces.append(frames)
    np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), whole, atol=1e-5)


def test_later_sound_changes_no_earlier_frame():
    mel = speech.LogMel(rate=8000, bands=12)
    samples = np.random.default_rng(0).standard_normal(800).astype(np.float32)
    changed = np.where(np.arange(800) < 400, samples, 7)
    np.testing.assert_array_equal(mel(changed)[:5], mel(samples)[:5])
    assert not np.allclose(mel(changed)[5], mel(samples)[5])


def test_a_frame_less_its_mean_is_the_frame_of_a_sound_without_offset(x64):
    """In closed form: a tone of whole periods in every window has no mean to lose, whatever is added to it."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(1600) / 8000)
    plain, centred = speech.LogMel(8000, 20), speech.LogMel(8000, 20, centred=True)
    np.testing.assert_allclose(centred(tone + 0.2)[2:], plain(tone)[2:], atol=1e-9)
    assert np.abs(plain(tone + 0.2) - plain(tone))[2:].max() > 1
    np.testing.assert_allclose(centred(np.full(1600, 0.2))[2:], np.log(1e-8))


def test_a_floor_adds_a_share_of_the_mean_energy():
    energies = np.log(np.array([[[1.0, 3.0], [0.0, 4.0], [9.0, 9.0]]]).clip(1e-30)).astype(
        np.float32
    )
    found = speech.add_floor(energies, 0.5, np.array([2]))
    np.testing.assert_allclose(np.exp(found[0, :2]), [[2, 4], [1, 5]], rtol=1e-5)
    assert not np.asarray(found[0, 2]).any()


@hypothesis.given(length=st.integers(0, 6), reach=st.integers(1, 3))
def test_padding_leaks_into_no_frame(length, reach):
    features = np.random.default_rng(length).standard_normal((6, 3)).astype(np.float32)
    padded = np.where(np.arange(6)[:, None] < length, features, np.nan)
    floored = functools.partial(speech.add_floor, share=0.1)
    for function in (
        speech.normalise,
        functools.partial(speech.deltas, reach=reach),
        lambda x, n=None: floored(x, lengths=n),
    ):
        found = function(padded[None], jnp.array([length]))[0]
        assert (found[length:] == 0).all()
        if length:
            np.testing.assert_allclose(found[:length], function(features[:length]), atol=1e-5)


def test_normalised_features_have_mean_0_and_variance_1():
    features = 5 + 3 * np.random.default_rng(0).standard_normal((2, 50, 4)).astype(np.float32)
    found = np.asarray(speech.normalise(features, jnp.array([50, 20])))
    np.testing.assert_allclose(found[1, :20].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found[1, :20].std(0), 1, atol=1e-5)
    by = speech.moments(features.reshape(100, 4))
    assert by.mean.shape == (4,)
    together = np.asarray(speech.normalise(features, by=by)).reshape(100, 4)
    np.testing.assert_allclose(together.std(0), 1, atol=1e-5)
    assert (np.asarray(speech.normalise(np.ones((3, 2)))) == 0).all()


def test_a_running_mean_begins_with_that_of_training_and_grows_used_to_the_sound():
    features = 5 + 3 * np.random.default_rng(0).standard_normal((2, 40, 4)).astype(np.float32)
    by = speech.Moments(jnp.arange(4.0), jnp.full(4, 2.0))
    pieces, state = [], speech.RunningMean.of(by, 3.0, (2,))
    for piece in np.split(features, [1, 1, 17], axis=1):
        state, scaled = speech.normalise_running(state, piece, by)
        pieces.append(scaled)
    for row, found in zip(features, np.concatenate(pieces, axis=1), strict=True):
        heard = [np.arange(4.0)] * 3
        for frame, scaled in zip(row, found, strict=True):
            heard.append(frame)
            np.testing.assert_allclose(scaled, (frame - np.mean(heard, axis=0)) / 2, atol=1e-4)


def test_masks_hide_bands_and_gaps_within_the_valid_frames():
    features, lengths = jnp.ones((64, 40, 12)), jnp.tile(jnp.array([40, 20]), 32)
    masked = jax.jit(
        functools.partial(speech.spec_augment, gaps=1, gap_width=10, bands=1, band_width=3)
    )
    hidden = np.asarray(masked(jax.random.key(0), features, lengths) == 0)
    bands, gaps = hidden.all(1), hidden.all(2)
    assert (hidden == (bands[:, None, :] | gaps[..., None])).all()
    assert set(bands.sum(1)) == {0, 1, 2, 3} and gaps[::2].sum(1).max() == 8
    assert gaps[1::2].sum(1).max() == 4 and not gaps[1::2, 20:].any()
    for stripes in (bands, gaps):
        # One stripe each: at most one place where it begins.
        assert (np.diff(stripes.astype(int), axis=1, prepend=0) == 1).sum(1).max() == 1
    assert (
        masked(jax.random.key(1), features, lengths) != masked(jax.random.key(0), features, lengths)
    ).any()
    untouched = speech.spec_augment(jax.random.key(0), features, bands=0, gaps=0)
    np.testing.assert_array_equal(untouched, features)


def test_speed_moves_length_and_pitch():
    samples = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)
    fast = speech.change_speed(samples, 1.25)
    assert len(fast) == 6400
    assert np.abs(np.fft.rfft(fast)).argmax() * 8000 / 6400 == pytest.approx(625, abs=2)
    np.testing.assert_allclose(speech.change_speed(samples, 1.0), samples, atol=1e-7)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_files_of_16_bits_are_read(tmp_path, suffix):
    samples = np.array([0, 1, -32768, 32767], np.int16)
    soundfile.write(tmp_path / f"a.{suffix}", samples, 11025)
    rate, found = files.read_audio(tmp_path / f"a.{suffix}")
    assert rate == 11025 and found.dtype == np.float32
    np.testing.assert_array_equal(found, samples / 32768)


def bad_files(folder):
    noise = np.arange(-400, 400).astype(np.int16)
    write_wav(folder / "stereo.wav", noise, channels=2)
    write_wav(folder / "empty.wav", noise[:0])
    write_wav(folder / "silent.wav", 0 * noise)
    write_wav(folder / "cut.wav", noise)
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:900])
    write_wav(folder / "header.wav", noise)
    (folder / "header.wav").write_bytes((folder / "header.wav").read_bytes()[:20])
    (folder / "text.wav").write_text("not a sound")
    (folder / "nothing.wav").write_bytes(b"")
    soundfile.write(
        folder / "nan.wav", np.where(np.arange(90) == 7, np.nan, 0.5), 8000, subtype="FLOAT"
    )
    soundfile.write(folder / "cut.flac", np.random.default_rng(0).standard_normal(9000) / 9, 8000)
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:-5000])


MESSAGES = {
    "stereo.wav": "2 channels; wanted mono",
    "empty.wav": "no samples",
    "silent.wav": "silent, all 800 samples are 0",
    "cut.wav": "holds 428 samples, its header promises 800",
    "header.wav": "no audio file that can be read",
    "text.wav": "no audio file that can be read",
    "nothing.wav": "no audio file that can be read",
    "nan.wav": "sample 7 is nan",
    "cut.flac": "cut.flac: ",
    "none.wav": "no such file",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_file_is_named(tmp_path, name):
    bad_files(tmp_path)
    with pytest.raises(ValueError) as error:
        files.read_audio(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ") and MESSAGES[name] in str(
        error.value
    )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: speech.LogMel(8000, high=4001.0), "within 0 to 4000 Hz"),
        (lambda: speech.LogMel(8000, hop=0.03), "a window of at least a hop"),
        (lambda: speech.LogMel(8000, bands=0), "at least 1 band"),
        (
            lambda: speech.LogMel(8000, bands=200)(np.zeros(800)),
            "give fewer bands or a longer window",
        ),
        (lambda: speech.mfcc(np.zeros((3, 5)), 6), "size is 6"),
        (lambda: speech.deltas(np.zeros((3, 5)), reach=0), "reach is 0"),
        (lambda: speech.spec_augment(jax.random.key(0), np.zeros((3, 5))), "band_width is 8"),
        (lambda: speech.change_speed(np.zeros(3), 0.0), "factor is 0.0"),
        (lambda: files.resample(np.zeros(3), 0, 1), "at least 1"),
    ],
)
def test_mistakes_say_what_to_give(call, message):
    with pytest.raises(ValueError, match=message):
        call()
