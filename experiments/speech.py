"""experiments.speech: a bidirectional LSTM with CTC hears connected digits and spells them, letter by letter.

    python -m experiments.speech                        # 1 to 7 spoken digits, real recordings
    python -m experiments.speech --held-out theo        # and a speaker that training never heard
    python -m experiments.speech --streaming            # one way only: words as the sound arrives
    python -m experiments.speech --recordings FOLDER    # a folder of label_speaker_index.wav
    python -m experiments.speech --train TSV --test TSV # lines of audio file, tab, transcript
    python -m experiments.speech transcribe RUN FILE... # words with their times
    python -m experiments.speech stream RUN FILE        # words as they come, and the delay

Each utterance joins recordings of one speaker with random pauses, levels and noise; in half of
training and validation and in a second test (`varied`) the silence is of every kind: noise that
changes from word to word, exact zeros, and now and then an offset, clipping or a codec's gaps.
Recordings of index 0 to 4 test, 5 to 9 validate, the others train. Log-mel energies, two frames a
step, LSTM layers with layer norm; SpecAugment and three speeds in training; an average of the
weights. Decoding is greedy, by a beam, and by a beam with an n-gram model of the training
transcripts' letters. Without recordings and network: made-up tones, and a word that says so. Expect
1.6% of words wrong greedily, 1.1 with the model of letters, 3.4 of `varied`: 27 minutes on one core
by --precision bfloat16. Papers: Graves et al., 2006 and 2013; Park et al., 2019.
"""

import dataclasses
import sys

import numpy as np

import seqjax
from experiments.cli import Verb, launch
from seqjax import datasets, speech, training
from seqjax.training import Options, RunConfig, option

SCORED = 400
"""Utterances of validation and of each test, the same ones for every seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    recordings: str | None = option(None, "label_speaker_index.wav to learn", metavar="FOLDER")
    train: str | None = option(None, "TSV of audio file and transcript to learn", metavar="FILE")
    test: str | None = option(None, "TSV of the same form to score", metavar="FILE")
    held_out: str | None = option(None, "speaker to leave out of training and to score apart")
    streaming: bool = option(False, "read one way, so that the model can stream")
    most: int = option(7, "recordings of an utterance, at most", least=1)
    utterances: int = option(65_000, "utterances to draw for training", least=1)
    bands: int = option(40, "mel bands", least=4)
    stride: int = option(2, "frames of a step", least=1)
    convolution: int | None = option(None, "features of a convolution over two steps", least=1)
    hidden_size: int = option(192, "units of each direction", least=1)
    layers: int = option(2, "recurrent layers", least=1)
    dropout: float = option(0.3, "rate on the outputs of every layer", least=0, below=1)
    mask: bool = option(True, "hide bands and gaps of the training spectra (SpecAugment)")
    beam: int = option(16, "width of the beam search", least=1)
    batch_size: int | None = option(40, "seconds of sound a step, padding included", least=1)
    learning_rate: float = option(3e-3, "Adam's, at its highest", least=0)
    warmup: float = option(0.05, "share of the steps over which the rate rises", least=0, below=1)
    average: float | None = option(0.999, "decay of the weights' moving average", least=0, below=1)
    steps: int | None = option(13_000, "training steps", least=1)
    every: int | None = option(2000, "steps between evaluations", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream(Options):
    piece: float = option(0.1, "seconds of sound that arrive at a time", least=0.001)
    pace: bool = option(True, "wait for the sound, as with a microphone")


def main(config: Config) -> dict:
    """Trains, scores every decoder and draws; returns what `result.json` holds."""
    with training.Run("speech", config) as run:
        config = run.config
        parts, origin = read_parts(config)
        task = build(config, parts["train"])
        for part in parts.values():
            task.check(part)
        run.say(f"{', '.join(f'{len(part):,} {name}' for name, part in parts.items())}: {origin}")
        run.say(repr(task))
        warn(run, task, parts)
        trained = run.fit(task, parts["train"], validation=parts["validation"], source=origin)
        trained = trained.tuned(parts["validation"])
        trained.save(run.folder / "model")
        tests = {name: parts[name] for name in ("test", "varied", "held_out") if name in parts}
        return run.finish(trained, tests, "test")


def build(config: Config, train: speech.Part) -> speech.Recogniser:
    """Makes the task of a config."""
    layer = seqjax.LSTM(config.hidden_size)
    if not config.streaming:
        layer = seqjax.bidirectional(layer)
    return speech.Recogniser.of(
        train,
        recurrence=(layer,) * config.layers,
        bands=config.bands,
        # The speeds are drawn with the utterances.
        augmentation=speech.Augmentation(speeds=(), masks=config.mask),
        beam=config.beam,
        stride=config.stride,
        convolution=config.convolution,
        dropout=config.dropout,
        backend=config.backend,
    )


def read_parts(config: Config) -> tuple[dict[str, speech.Part], str]:
    """Reads the parts `train`, `validation`, `test`, `varied` and perhaps `held_out`, and their origin."""
    if (config.train is None) != (config.test is None):
        raise ValueError("--train and --test go together; give both files")
    if config.train is not None and config.held_out is not None:
        raise ValueError("--held-out wants single recordings; leave it out with --train")
    if config.train is not None and config.test is not None:
        origin = f"{config.train}, {config.test}"
        drawn = {"count": config.utterances, "seed": config.seed}
        return speech.read_corpus(config.train, config.test, **drawn), origin
    clips, indices, origin = read_words(config)
    parts = speech.connected_parts(
        clips,
        indices,
        held_out=config.held_out,
        most=config.most,
        count=config.utterances,
        scored=SCORED,
        seed=config.seed,
    )
    return parts, origin


def read_words(config: Config) -> tuple[speech.Clips, np.ndarray, str]:
    """Reads recordings of single words: them, the index of each, and where they come from."""
    if config.recordings is not None:
        clips, indices = speech.read_recordings(config.recordings, None)
        return clips, np.array(indices), f"folder {config.recordings}"
    try:
        return speech.load_digits(config.data_dir)
    except datasets.DataUnavailable as reason:
        print(
            f"{reason}. Learning SYNTHETIC tones and hisses, one for each letter; no one speaks",
            file=sys.stderr,
        )
        return speech.synthetic_digits()


def warn(run: training.Run, task: speech.Recogniser, parts: dict[str, speech.Part]) -> None:
    """Tells of letters that the model cannot write."""
    for name, part in parts.items():
        letters = speech.unknown_letters(part, task.codec.vocabulary)
        if letters:
            shown = ", ".join(f"{letter!r} ({count:,})" for letter, count in letters.most_common(5))
            run.say(f"{name}: letters that no training transcript has are not written: {shown}")


def transcribe(folder: str, *operands) -> None:
    """Prints what is said in audio files, and each word with the seconds from and to."""
    *paths, _ = operands
    for path, words in zip(paths, seqjax.load(folder, speech.Recogniser).align(paths), strict=True):
        text = " ".join(word.text for word in words)
        print(f"{path}: {text or '(nothing)'}")
        for word in words:
            print(f"  {word.begin:6.2f} {word.end:6.2f}  {word.text}")


def stream(folder: str, path: str, options: Stream) -> None:
    """Plays a file to the model, prints letters as they are heard, and measures the delay."""
    model = seqjax.load(folder, speech.Recogniser)
    samples = speech.read_at(path, model.task.rate)
    played = []
    for piece in speech.play(model, samples, options.piece, options.pace):
        played.append(piece)
        print("".join(heard.letter for heard in piece.letters), end="", flush=True)
    print("", *speech.tell_delays(played), sep="\n")


VERBS = {
    "transcribe": Verb(transcribe, Options, "write down audio files, with times", ("FILE...",)),
    "stream": Verb(stream, Stream, "write down an audio file while it plays", ("FILE",)),
}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
