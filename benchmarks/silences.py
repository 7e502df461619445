"""Words that a recogniser gets wrong over every kind of silence, in percent: its held-out digits, joined.

    python benchmarks/silences.py RUN --data-dir DATA [--part validation] [--count 250]

RUN is a run folder of `experiments.speech` over the spoken digits. The same utterances are made in
NumPy alone, in each condition anew: exact zeros, noise under the whole, between the words or in the
words alone, noise of another level in each stretch, an offset, clipping, gates as of codecs, levels.
Peaks are those of the recordings ("as is") or 0.3 for each of them ("levelled").
"""

import argparse

import numpy as np

import seqjax
from seqjax import speech
from seqjax.metrics import word_errors

RATE = 8000
BLOCK = 160


def whole(deviation, **more):
    """A condition with noise under everything."""
    return {"inside": deviation, "between": deviation, **more}


def levelled(**more):
    """A condition with every recording at the same peak."""
    return {"levelled": True, **more}


CONDITIONS = {
    "as is, noise 0.001 under the whole": whole(0.001),
    "as is, noise 0.003 under the whole": whole(0.003),
    "as is, zeros between the words": {},
    "as is, noise 0.003 between alone": {"between": 0.003},
    "as is, noise 0.001 in words alone": {"inside": 0.001},
    "as is, noise 0.003 in words alone": {"inside": 0.003},
    "levelled, noise 0.01 under the whole": levelled(**whole(0.01)),
    "levelled, pink noise 0.003": levelled(**whole(0.003, pink=True)),
    "levelled, zeros between the words": levelled(),
    "levelled, noise 0.01 between alone": levelled(between=0.01),
    "levelled, noise 0.01 in words alone": levelled(inside=0.01),
    "levelled, another floor for each": levelled(each=0.01),
    "as is, offset 0.1 and noise": whole(0.001, offset=0.1),
    "as is, offset 0.1 on zeros": {"offset": 0.1},
    "levelled, offset -0.3 and noise": levelled(**whole(0.003, offset=-0.3)),
    "levelled, clipped by 6 dB": levelled(**whole(0.001, over=2.0)),
    "levelled, clipped by 12 dB": levelled(**whole(0.001, over=4.0)),
    "levelled, clipped by 12 dB, zeros": levelled(over=4.0),
    "as is, gate at -40 dB": whole(0.001, gate=0.01),
    "levelled, gate at -30 dB": levelled(**whole(0.003, gate=0.0316)),
    "levelled, gate at -26 dB": levelled(**whole(0.003, gate=0.05)),
    "levelled, peak -40 dB": levelled(**whole(0.001, peak=-40)),
    "levelled, peak 0 dB": levelled(**whole(0.001, peak=0)),
    "levelled, peak -40 dB, zeros": levelled(peak=-40),
    "levelled, peak 0 dB, zeros": levelled(peak=0),
}


def main():
    """Prints the percentage of wrong words in every condition."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--data-dir")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--count", type=int, default=250)
    options = parser.parse_args()
    model = seqjax.load(options.run, speech.Recogniser)
    clips, indices, _ = speech.load_digits(options.data_dir)
    plans = draw(clips, indices, options.part, options.count)
    texts = [" ".join(clips.texts[clip] for clip in chosen) for chosen, _ in plans]
    means = []
    print(f"{'':40}{'greedy':>8}{'language model':>16}")
    for name, condition in CONDITIONS.items():
        sounds = [make(clips, plan, (5, row), **condition) for row, plan in enumerate(plans)]
        answers = [model.predict(sounds, beam=1), model.predict(sounds)]
        wrong = [100 * word_errors(texts, answer)["wer"] for answer in answers]
        means.append(wrong)
        print(f"{name:40}{wrong[0]:8.2f}{wrong[1]:16.2f}", flush=True)
    greedy, best = np.mean(means, axis=0)
    words = sum(len(text.split()) for text in texts)
    print(f"{f'mean; {words} words in each':40}{greedy:8.2f}{best:16.2f}")


def draw(clips, indices, part, count):
    """Recordings of one speaker for each utterance, and the samples of the pauses around them."""
    first = {"test": 0, "validation": 5}[part]
    generator = np.random.default_rng({"test": 77, "validation": 78}[part])
    speakers = sorted(set(clips.speakers))
    plans = []
    for _ in range(count):
        speaker = speakers[generator.integers(len(speakers))]
        pool = [
            clip
            for clip in range(len(clips))
            if clips.speakers[clip] == speaker and first <= indices[clip] < first + 5
        ]
        size = int(generator.integers(1, 8))
        plans.append((generator.choice(pool, size), generator.integers(800, 4001, size + 1)))
    return plans


def make(
    clips,
    plan,
    seed,
    *,
    levelled=False,
    inside=0.0,
    between=0.0,
    each=0.0,
    pink=False,
    offset=0.0,
    over=1.0,
    gate=0.0,
    peak=None,
):
    """Samples of one utterance, as 16 bits hold them."""
    generator = np.random.default_rng(seed)
    chosen, pauses = plan
    stretches = []
    for place in range(2 * len(chosen) + 1):
        word = place % 2 == 1
        sound = np.zeros(pauses[place // 2])
        if word:
            sound = clips.samples[chosen[place // 2]].astype(np.float64)
        if word and levelled:
            sound = 0.3 * sound / np.abs(sound).max()
        deviation = inside if word else between
        if each:
            deviation = each * generator.uniform() ** 2 if generator.random() < 0.7 else 0.0
        stretches.append(sound + deviation * noise(generator, len(sound), pink))
    whole = np.concatenate(stretches)
    if peak is not None:
        whole *= 10 ** (peak / 20) / np.abs(whole).max()
    top = np.abs(whole).max()
    whole = whole.clip(-top / over, top / over)
    for start in range(0, len(whole), BLOCK) if gate else ():
        block = whole[start : start + BLOCK]
        if np.abs(block).max() < gate * np.abs(whole).max():
            block[:] = 0
    levels = np.round(32768 * (whole + offset)).clip(-32768, 32767)
    return (levels / 32768).astype(np.float32)


def noise(generator, size, pink):
    """Gaussian noise of deviation 1."""
    white = generator.standard_normal(size)
    if not pink:
        return white
    spectrum = np.fft.rfft(white)
    spectrum[0] = 0
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -0.5
    shaped = np.fft.irfft(spectrum, size)
    return shaped / shaped.std()


if __name__ == "__main__":
    main()
