"""experiments.speech: a bidirectional LSTM with CTC hears connected digits and spells them, letter by letter.

    python -m experiments.speech                                 # 1 to 7 spoken digits, real recordings
    python -m experiments.speech --held-out theo                 # and a speaker that training never heard
    python -m experiments.speech --streaming                     # one way only: words while the audio arrives
    python -m experiments.speech --recordings FOLDER             # any folder of label_speaker_index.wav
    python -m experiments.speech --train TSV --test TSV          # any speech: lines of audio file, tab, transcript
    python -m experiments.speech --transcribe RUN FILE...        # words with their times
    python -m experiments.speech --stream RUN FILE               # words as they come, and the delay

Each utterance joins recordings of one speaker with random pauses, levels and noise; in half of training and validation
and in a second test (`varied`) the silence is of every kind: noise that changes from word to word, exact zeros, and now
and then an offset, clipping or a codec's gaps. Recordings of index 0 to 4 test, 5 to 9 validate, the others train.
Log-mel energies, two frames a step, LSTM layers with layer norm; SpecAugment and three speeds in training; an average
of the weights. Decoding is greedy, by a beam, and by a beam with an n-gram model of the training transcripts' letters.
Without recordings and network: made-up tones, and a word that says so. Expect 4.1% of words wrong greedily, 4.0 with a
beam, 2.3 with the model of letters, 6.0 of `varied`: 25 minutes on a free core.
Papers: Graves et al., 2006 and 2013; Park et al., 2019.
"""

import collections
import dataclasses
import functools
import itertools
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import (
    BaseConfig,
    Mistake,
    Options,
    Run,
    Verb,
    launch,
    load_config,
    mistakes,
    option,
    read_json,
)
from seqjax import data, datasets, figures, speech, training
from seqjax.decoding import ctc
from seqjax.metrics.words import word_errors, word_pairs
from seqjax.models import AcousticModel
from seqjax.speech import Listener
from seqjax.speech.pictures import plot_alignment

BUCKETS = 5
JUDGED = 400  # utterances of validation and of each test, the same ones for every seed
SCORED = ("test", "varied", "held_out")
VARIED = 17  # seed of the silences in validation and test, the same for every seed of training
TAIL = 0.3  # seconds of silence after an utterance: read one way, letters are known after they are heard
GAP = 10  # frames that a mask hides at most: digits are short
NONE = "(other)"
ORDER = 6  # letters of the language model's n-grams
WEIGHTS, BONUSES = (
    (0.5, 1.0, 2.0),
    (0.0, 1.0),
)  # of the language model and of a letter, to choose from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    recordings: str | None = option(
        None, "folder of label_speaker_index.wav in place of the spoken digits"
    )
    train: str | None = option(
        None, "TSV of audio file and transcript to learn in place of recordings"
    )
    test: str | None = option(None, "TSV of the same form to score")
    held_out: str | None = option(None, "speaker to leave out of training and to score apart")
    streaming: bool = option(False, "read one way, so that --stream can use the model")
    most: int = option(7, "recordings of an utterance, at most", least=1)
    utterances: int = option(20_000, "utterances to draw for training", least=1)
    bands: int = option(40, "mel bands", least=4)
    stride: int = option(2, "frames of a step", least=1)
    convolution: int | None = option(
        None, "features of a convolution over two steps' frames", least=1
    )
    hidden_size: int = option(128, "units of each direction", least=1)
    layers: int = option(2, "recurrent layers", least=1)
    dropout: float = option(0.2, "rate on the outputs of every layer", least=0, below=1)
    mask: bool = option(True, "hide bands and gaps of the training spectra (SpecAugment)")
    batch: float = option(40.0, "seconds of sound a step, padding included, at most", least=1)
    learning_rate: float = option(3e-3, "Adam's highest", least=0)
    average: float = option(
        0.99,
        "decay of the moving average of the weights, which is what is scored",
        least=0,
        below=1,
    )
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    steps: int = option(3000, "training steps", least=1)
    every: int = option(300, "steps between evaluations", least=1)
    beam: int = option(16, "width of the beam search", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream(Options):
    piece: float = option(0.1, "seconds of sound that arrive at a time", least=0.001)
    pace: bool = option(True, "wait for the sound, as with a microphone")


def read_speech(config: Config) -> tuple[dict[str, speech.Part], str]:
    """The parts `train`, `validation`, `test`, `varied` and perhaps `held_out`, and where they come from."""
    if (config.train is None) != (config.test is None):
        raise ValueError("--train and --test go together; give both files")
    if config.train is not None and config.held_out is not None:
        raise ValueError(
            "--held-out names a speaker of single recordings; leave it out with --train"
        )
    if config.train is not None:
        return read_corpus(config)
    clips, indices, origin = read_words(config)
    chosen = speech.split_recordings(clips, indices, config.held_out)
    draw = functools.partial(speech.connect, most=config.most)
    train = draw(chosen["train"], config.utterances, config.seed, speeds=speech.SPEEDS)
    judged = {name: draw(chosen[name], JUDGED, len(name)) for name in chosen if name != "train"}
    parts = {
        name: speech.Part(chosen[name], drawn) for name, drawn in {"train": train, **judged}.items()
    }
    return with_silences(parts, config.seed), origin


def read_words(config: Config) -> tuple[speech.Clips, np.ndarray, str]:
    """Recordings of single words, the index of each, and where they come from."""
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
        takes = 30
        clips = speech.synthetic_words(speech.DIGITS, speakers=4, takes=takes)
        return clips, np.arange(len(clips)) % takes, "synthetic tones, not speech"


def read_corpus(config: Config) -> tuple[dict[str, speech.Part], str]:
    """The utterances of two files; every tenth of the first one validates."""
    known = speech.read_transcripts(config.train, None)
    test = speech.read_transcripts(config.test, known.rate)
    tenth = np.arange(len(known)) % 10 == 9
    if not tenth.any():
        raise ValueError(
            f"{config.train}: {len(known)} lines; give at least 10, every tenth validates"
        )
    train, validation = known.where(~tenth), known.where(tenth)
    drawn = speech.connect(train, config.utterances, config.seed, most=1, speeds=speech.SPEEDS)
    parts = {"train": speech.Part(train, drawn)}
    parts |= {
        name: speech.Part(clips, speech.whole(clips))
        for name, clips in (("validation", validation), ("test", test))
    }
    return with_silences(parts, config.seed), f"{config.train}, {config.test}"


def with_silences(parts: dict[str, speech.Part], seed: int) -> dict[str, speech.Part]:
    """Every kind of silence in half of training and validation, and in a second copy of the test, `varied`."""
    train, validation, test = parts["train"], parts["validation"], parts["test"]
    changed = {
        "train": speech.Part(train.clips, half_varied(train.utterances, seed)),
        "validation": speech.Part(validation.clips, half_varied(validation.utterances, VARIED)),
        "varied": speech.Part(test.clips, speech.vary(test.utterances, VARIED)),
    }
    return {**parts, **changed}


def half_varied(utterances: list[speech.Utterance], seed: int) -> list[speech.Utterance]:
    """Every second utterance through another channel."""
    return utterances[::2] + speech.vary(utterances[1::2], seed)


def main(config: Config) -> dict:
    """Trains, scores every decoder and draws; returns what `result.json` holds."""
    run = Run("speech", config)
    config = run.config
    with mistakes():
        parts, origin = read_speech(config)
        parts = {name: part.followed_by(tail(config)) for name, part in parts.items()}
        ear = speech.Ear.of(parts["train"], config.bands, moments_of_training=config.streaming)
        strange = {name: speech.unknown_letters(part, ear.letters) for name, part in parts.items()}
        for part in parts.values():
            speech.check_room(part, ear.mel, config.stride)
        batches = make_batches(parts["train"], ear, config)
        listener = build(config, ear)
    columns = {name: [part.clips.samples, part.clips.texts] for name, part in parts.items()}
    run.begin({"origin": origin, "fingerprint": data.Records(columns).fingerprint()})
    if run.leads:
        ear.save(run.folder / "ear.json")
    sizes = " + ".join(
        f"{len(part.clips):,} {name.replace('_', ' ')}"
        for name, part in parts.items()
        if name != "varied"
    )
    run.say(f"{sizes} recordings, {len(ear.letters)} symbols: {origin}")
    for name, letters in strange.items():
        if letters:
            shown = ", ".join(f"{letter!r} ({count:,})" for letter, count in letters.most_common(5))
            run.say(
                f"{name}: recordings with letters that no training transcript has, never written: {shown}"
            )
    run.say(batches.iterator.report())

    state = run.train(
        fresh_state(listener, config),
        functools.partial(loss, listener, config.mask),
        optimiser_of(config),
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: judge(listener, config, state.ema, parts["validation"]),
        monitor=("wer", "nats"),
        per_step=round(config.batch),
        unit="seconds of sound",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, listener, state.ema, parts)


def tail(config: Config) -> float:
    """Seconds of silence after each utterance."""
    return TAIL if config.streaming else 0.0


def optimiser_of(config: Config) -> optax.GradientTransformation:
    """Adam, its rate rising for a twentieth of the steps and falling along a cosine."""
    rise = max(1, config.steps // 20)
    return optax.adam(
        optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, rise, max(config.steps, rise + 1)
        )
    )


def make_batches(part: speech.Part, ear: speech.Ear, config: Config, once: bool = False):
    """Batches of so many seconds of sound; endless and shuffled, or once in order."""
    return speech.utterance_batches(
        part,
        ear,
        config.batch,
        seed=config.seed,
        once=once,
        multiple_of=config.devices,
        buckets=BUCKETS,
    )


def build(config: Config, ear: speech.Ear) -> Listener:
    """The model of a config, with its ear."""
    layer = seqjax.LSTM(config.hidden_size)
    layers = (layer if config.streaming else seqjax.bidirectional(layer),) * config.layers
    settings = config.stride, config.convolution, config.dropout
    return Listener(ear, AcousticModel(len(ear.letters), layers, *settings, backend=config.backend))


def fresh_state(listener: Listener, config: Config) -> training.TrainState:
    """The state before the first training step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    return training.create_state(listener.init(init_key), optimiser_of(config), run_key, ema=True)


def loss(listener, mask, params, batch, rng, extra):
    """CTC, in nats a letter; `mask` hides parts of the spectra."""
    mask_key, dropout_key = jax.random.split(rng)
    frames = listener.ear.features(batch["samples"], batch["frames"])
    if mask:
        frames = speech.spec_augment(mask_key, frames, batch["frames"], gap_width=GAP)
    logits, lengths = listener.model.apply(
        {"params": params}, frames, lengths=batch["frames"], rngs={"dropout": dropout_key}
    )
    letters = batch["label_lengths"].sum()
    nats = seqjax.losses.ctc(logits, batch["labels"], lengths, batch["label_lengths"])
    return nats.sum() / jnp.maximum(letters, 1), training.Aux(weight=letters)


def listen(listener, config, params, part: speech.Part) -> list[tuple]:
    """Every utterance of a part once: batches, the scores of their steps, and how many these are."""
    batches = make_batches(part, listener.ear, config, once=True)
    return [(batch, *listener(params, batch["samples"], batch["frames"])) for batch in batches]


def transcripts(ear: speech.Ear, heard: list[tuple], decode) -> list[str]:
    """What was heard in every utterance, by a decoder `(scores, lengths) -> rows of symbols`."""
    found = {}
    for batch, scores, lengths in heard:
        rows = zip(batch["indices"].tolist(), decode(scores, lengths), strict=True)
        found |= {index: ear.spell(row) for index, row in rows if index >= 0}
    return [text for _, text in sorted(found.items())]


def judge(listener, config, params, part: speech.Part) -> dict[str, float]:
    """Errors of the greedy decoder on a part, and nats a letter."""
    texts, heard = part.texts(), listen(listener, config, params, part)
    # A text with a letter that no training transcript has cannot be written: it has no likelihood.
    known = np.array([all(letter in listener.ear.letters for letter in text) for text in texts])
    nats = 0.0
    for batch, scores, lengths in heard:
        counted = (batch["indices"] >= 0) & known[batch["indices"]]
        nats += float(
            seqjax.losses.ctc(scores, batch["labels"], lengths, batch["label_lengths"])[
                counted
            ].sum()
        )
    letters = sum(len(text) for text, counts in zip(texts, known, strict=True) if counts)
    guesses = transcripts(listener.ear, heard, spell_greedily)
    return {"nats": nats / max(letters, 1), **word_errors(texts, guesses)}


def report(run, listener, params, parts):
    """Scores every decoder, draws the pictures, writes the result; returns it."""
    heard = {
        name: listen(listener, run.config, params, part)
        for name, part in parts.items()
        if name != "train"
    }
    learn_letters(run, listener.ear, parts, heard["validation"])
    decoders = decoders_of(run.config, run.folder, listener.ear)
    scores, guesses, lines = {}, {}, ["part\tdecoder\tWER\tSER"]
    for name, decoder in itertools.product([name for name in SCORED if name in parts], decoders):
        guesses[name, decoder] = transcripts(listener.ear, heard[name], decoders[decoder])
        found = word_errors(parts[name].texts(), guesses[name, decoder])
        scores |= {f"{name}_{decoder}_{score}": value for score, value in found.items()}
        lines.append("\t".join([name, decoder, *(f"{value:.2%}" for value in found.values())]))
    run.write_text("decoders.tsv", "\n".join(lines) + "\n")
    run.say(
        "\n".join("{:>10} {:>25} {:>7} {:>7}".format(*line.split("\t")) for line in lines).replace(
            "_", " "
        )
    )
    texts, best = parts["test"].texts(), guesses["test", list(decoders)[-1]]
    run.write_text(
        "heard.tsv", "".join(f"{text}\t{guess}\n" for text, guess in zip(texts, best, strict=True))
    )
    draw_confusion(run, texts, best)
    draw_alignment(run, listener, params, parts["test"])
    figures.plot_history(
        run.folder / "loss.png", run.history(), {"nats": "validation"}, run.config.clip
    )
    counts = {f"{name}_utterances": len(part.utterances) for name, part in parts.items()}
    counts |= {
        "test_words": sum(len(text.split()) for text in texts),
        "steps": run.history()[-1]["step"],
    }
    result = run.finish(scores, counts)
    run.say(f"run folder: {run.folder}")
    return result


def learn_letters(run, ear: speech.Ear, parts: dict[str, speech.Part], heard: list[tuple]) -> None:
    """Counts the letters of the training transcripts, chooses how much they weigh by validation, and writes both."""
    ngrams = ctc.train_ngrams(sorted(set(parts["train"].texts())), ORDER)
    ctc.write_arpa(run.folder / "letters.arpa", ngrams)
    letters, texts = ctc.from_symbols(ngrams, ear.letters.tokens), parts["validation"].texts()

    def wer(settings):
        decode = functools.partial(search, beam=run.config.beam, language_model=letters, **settings)
        return word_errors(texts, transcripts(ear, heard, decode))["wer"]

    grid = [
        {"weight": weight, "bonus": bonus} for weight, bonus in itertools.product(WEIGHTS, BONUSES)
    ]
    run.write_json("letters.json", min(grid, key=wer))


def spell_greedily(scores, lengths) -> list[np.ndarray]:
    """The symbols of each row, by the best symbol of every step."""
    found = jax.device_get(ctc.greedy(scores, lengths))
    return [row[:length] for row, length in zip(found.tokens, found.lengths, strict=True)]


def search(scores, lengths, **settings) -> list[np.ndarray]:
    """The symbols of each row, by `ctc.beam`."""
    found = jax.device_get(ctc.beam(scores, lengths, **settings))
    return [row[0, : length[0]] for row, length in zip(found.tokens, found.lengths, strict=True)]


def decoders_of(config: Config, folder: Path, ear: speech.Ear) -> dict:
    """The decoders of a run, the best last: functions of `(scores, lengths)` that give rows of symbols."""
    letters = ctc.from_symbols(ctc.read_arpa(folder / "letters.arpa"), ear.letters.tokens)
    beam = functools.partial(search, beam=config.beam)
    informed = functools.partial(beam, language_model=letters, **read_json(folder / "letters.json"))
    return {"greedy": spell_greedily, "beam": beam, "beam_with_language_model": informed}


def draw_confusion(run, texts: list[str], heard: list[str]) -> None:
    """The words said and the words heard in their place; `NONE` stands for no word and for any other."""
    pairs = word_pairs(texts, heard, NONE)
    common = [
        word
        for word, _ in collections.Counter(said for said, _ in pairs).most_common(20)
        if word != NONE
    ]
    names = sorted(
        common, key=lambda word: (speech.DIGITS.index(word) if word in speech.DIGITS else 10, word)
    ) + [NONE]
    shown = [
        [word if word in names else NONE for word in side] for side in zip(*pairs, strict=True)
    ]
    figures.plot_confusion(run.folder / "confusion.png", *shown, names)


def draw_alignment(run, listener, params, part: speech.Part) -> None:
    """Where the letters of one utterance of about four recordings were heard."""
    utterance = min(part.utterances, key=lambda u: abs(len(u.clips) - 4))
    samples, text = utterance.render(part.clips), utterance.text(part.clips)
    text = "".join(letter for letter in text if letter in listener.ear.letters)
    scores = listener.scores(params, samples)
    frames = np.asarray(listener.ear.mel(samples))[: len(scores) * run.config.stride]
    figure = plot_alignment(
        frames,
        np.exp(scores),
        listener.locate(scores, text),
        listener.ear.letters.tokens,
        seconds=len(scores) * listener.step,
        title=text,
    )
    figures.save_figure(figure, run.folder / "alignment.png")


def restore(folder: str) -> tuple[Config, Listener, dict]:
    """The settings of a run, its model, and its averaged parameters."""
    config = load_config(folder, "speech", Config)
    with mistakes():
        listener = build(config, speech.Ear.load(Path(folder) / "ear.json"))
        checkpoints = training.Checkpoints(Path(folder) / "checkpoints")
        return (
            config,
            listener,
            training.restore_best(fresh_state(listener, config), checkpoints).ema,
        )


def read_file(path: str, listener: Listener, config: Config) -> np.ndarray:
    """The samples of a file, at the model's rate."""
    rate = listener.ear.mel.rate
    with mistakes():
        return np.pad(speech.read_at(path, rate), (0, round(tail(config) * rate)))


def transcribe(folder: str, *words) -> None:
    """Prints what is said in audio files, and each word with the seconds from and to."""
    *paths, _ = words
    if not paths:
        raise Mistake(f"--transcribe {folder} names no file; give at least one")
    config, listener, params = restore(folder)
    sounds = [read_file(path, listener, config) for path in paths]
    with mistakes():
        decode = list(decoders_of(config, Path(folder), listener.ear).values())[-1]
    for path, samples in zip(paths, sounds, strict=True):
        scores = listener.scores(params, samples)
        text = listener.ear.spell(decode(scores[None], np.array([len(scores)]))[0])
        print(f"{path}: {text or '(nothing)'}")
        for word, begin, end in speech.words_of(listener.locate(scores, text)):
            print(f"  {begin:6.2f} {end:6.2f}  {word}")


def stream(folder: str, path: str, options: Stream) -> None:
    """Plays a file to the model piece by piece, prints letters as they are heard, and measures the delay."""
    config, listener, params = restore(folder)
    if not config.streaming:
        raise Mistake(
            f"{folder} reads both ways and so waits for the end; train one with --streaming"
        )
    samples = read_file(path, listener, config)
    steps = max(1, round(options.piece / listener.step))
    size = steps * listener.step_size
    pieces = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    state = listener.start(params)
    warm, _ = listener.hear(
        params, state, pieces[0]
    )  # Compiled before the clock runs, also for a state of its own.
    listener.hear(params, warm, pieces[0])[1].block_until_ready()
    letters, busy, last, began = [], [], 0, time.monotonic()
    for number, piece in enumerate(pieces):
        arrived = (number + 1) * steps * listener.step
        if options.pace:
            time.sleep(max(0.0, began + arrived - time.monotonic()))
        start = time.monotonic()
        state, scores = listener.hear(params, state, piece)
        symbols = np.asarray(scores).argmax(-1).tolist()
        busy.append(time.monotonic() - start)
        now = time.monotonic() - began if options.pace else arrived + busy[-1]
        for place, symbol in enumerate(symbols, start=number * steps + 1):
            if symbol not in (0, last):
                letters.append((listener.ear.letters.tokens[symbol], place * listener.step, now))
                print(letters[-1][0], end="", flush=True)
            last = symbol
    print()
    tell_delay(letters, busy, steps * listener.step)


def tell_delay(letters, busy, piece: float) -> None:
    """Each word, when its last letter was heard and how much later it was printed; and what the delay is made of."""
    for word, _, (spoken, printed) in speech.words_of(
        [(letter, 0.0, times) for letter, *times in letters]
    ):
        print(f"  {spoken:6.2f} s  {word}, printed {1000 * (printed - spoken):.0f} ms later")
    late = [printed - spoken for _, spoken, printed in letters]
    if late:
        print(
            f"delay of a letter: median {1000 * np.median(late):.0f} ms, at most {1000 * max(late):.0f} ms; "
            f"pieces of {1000 * piece:.0f} ms, each computed in {1000 * np.median(busy):.1f} ms"
        )


VERBS = {
    "transcribe": Verb(transcribe, Options, "write down audio files, with times", "FILE..."),
    "stream": Verb(stream, Stream, "write down an audio file while it plays", "FILE"),
}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
