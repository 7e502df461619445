"""experiments.music: an LSTM reads music as sets of notes and composes some.

    python -m experiments.music                                  # chorales by Bach
    python -m experiments.music --corpus musedata --test         # scored on the test set in the end
    python -m experiments.music --head independent               # each key of a frame alone
    python -m experiments.music --train FOLDER --dev FOLDER      # MIDI files, or .mat files of that form
    python -m experiments.music compose RUN --output piece.mid   # or .wav, to hear, or .png
    python -m experiments.music evaluate RUN FOLDER              # how unlikely are these pieces?

A frame of a piano roll says which of 88 keys sound. From all frames before it the next one is
predicted, by default by a NADE, each key given those below it (Boulanger-Lewandowski et al., 2012);
training moves each piece up or down by some semitones. The score is nats a frame: minus the log
probability of its keys together, a mean over all frames but the first of each piece, as in the
published figures of Bai et al., 2018 (JSB chorales: GRU 8.43, LSTM 8.45, TCN 8.10, each key alone).
Expect 5.57 on the validation chorales, 10 minutes on a machine that others share.
"""

import dataclasses
from pathlib import Path

import seqjax
from experiments.cli import Verb, launch
from seqjax import music, training
from seqjax.training import OWN, Options, RunConfig, check_parts, option, test_option

CELLS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU}
HEADS = ("nade", "independent")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    corpus: str = option("jsb_chorales", "data set", choices=music.CORPORA)
    train: str | None = option(None, "pieces to learn in place of it", metavar="PATH")
    dev: str | None = option(None, "pieces that choose the model", metavar="PATH")
    test: str | None = test_option()
    beats: float | None = option(
        None, "quarter notes of a frame (default: 0.25 for MIDI files, else 1)", least=0.01
    )
    head: str = option("nade", "how the keys of a frame depend on each other", choices=HEADS)
    nade_size: int = option(128, "hidden units of the NADE", least=1)
    cell: str = option("lstm", "recurrent layer", choices=tuple(CELLS))
    hidden_size: int = option(200, "units of each layer", least=1)
    layers: int = option(1, "recurrent layers", least=1)
    dropout: float = option(0.2, "rate between and after the layers", least=0, below=1)
    shift: int = option(5, "semitones that training moves a piece, at most", least=0)
    window: int = option(200, "frames of a training piece, longer ones being cut", least=1)
    epochs: int | None = option(100, "passes over the training pieces at most", least=1)
    batch_size: int | None = option(16, "pieces of a step", least=1)
    learning_rate: float = option(4e-3, "Adam's, at its highest", least=0)
    average: float | None = option(0.98, "decay of the weights' moving average", least=0, below=1)
    patience: int | None = option(8, "evaluations without a better score before it stops", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compose(Options):
    output: str = option("composed.mid", "file to write: .mid, .wav or .png", metavar="FILE")
    opening: str | None = option(None, "MIDI file to go on from", metavar="FILE")
    length: int = option(64, "frames to write", least=1)
    temperature: float = option(1.0, "below 1 keeps to what is likely", least=0)
    transpose: int = option(0, "semitones to move it up, or down by less than 0")
    tempo: float = option(100.0, "quarter notes a minute", least=1)
    seed: int = option(0, "seed of the draws", least=0)


def main(config: Config) -> dict:
    """Trains, scores and composes; returns what `result.json` holds."""
    with training.Run("music", config) as run:
        config = run.config
        train, dev, test = read_corpora(config)
        task = build(config, train)
        sizes = f"{len(train.rolls):,} + {len(dev.rolls):,} pieces"
        run.say(f"{sizes}, {sum(map(len, train.rolls)):,} frames to learn: {train.origin}")
        run.say(repr(task))
        trained = run.fit(task, train.rolls, validation=dev.rolls, source=train.origin)
        if config.test is None:
            return run.finish(trained, dev.rolls, "validation")
        return run.finish(trained, test.rolls, "test")


def build(config: Config, train: music.Pieces) -> music.Composer:
    """Makes the task of a config."""
    layers = [CELLS[config.cell](config.hidden_size) for _ in range(config.layers)]
    return music.Composer.of(
        train.rolls,
        seqjax.stack(*layers, dropout=config.dropout),
        nade_size=config.nade_size if config.head == "nade" else None,
        beats=beats_of(config),
        shift=config.shift,
        window=config.window,
        dropout=config.dropout,
        backend=config.backend,
    )


def beats_of(config: Config) -> float:
    """Returns the quarter notes of a frame."""
    if config.beats is not None:
        return config.beats
    is_midi = config.train is not None and ".mat" not in Path(config.train).suffixes
    return 0.25 if is_midi else 1.0


def read_corpora(config: Config) -> list[music.Pieces]:
    """Reads the pieces to learn, those that choose the model, and those to test, else the second again."""
    check_parts(config)
    train, dev = read_part(config, "train"), read_part(config, "dev")
    return [train, dev, dev if config.test is None else read_part(config, "test")]


def read_part(config: Config, split: str) -> music.Pieces:
    """Reads a part from the path that a setting names, else of the corpus."""
    path = getattr(config, split)
    name = {"dev": "validation"}.get(split, split)
    if path in (None, OWN):
        return music.load_pieces(config.corpus, name, config.data_dir)
    return music.read_pieces(path, name, beats_of(config))


def compose(folder: str, options: Compose) -> None:
    """Composes a piece, or goes on from one, and writes it."""
    model = seqjax.load(folder, music.Composer)
    music.check_form(options.output)
    beats, opening = model.task.beats, None
    if options.opening is not None:
        opening = music.read_pieces(options.opening, beats=beats).rolls[0]
    piece = model.compose(
        options.length, opening=opening, temperature=options.temperature, seed=options.seed
    )
    piece = music.moved(piece, options.transpose)
    music.write_piece(options.output, piece, beats, options.tempo)
    print(f"{len(piece)} frames, {len(piece) * beats * 60 / options.tempo:.0f} s: {options.output}")


def evaluate(folder: str, path: str, options: Options) -> None:
    """Prints what the model of a run pays for pieces."""
    model = seqjax.load(folder, music.Composer)
    pieces = music.read_pieces(path, "test", model.task.beats)
    for name, value in model.evaluate(pieces.rolls).items():
        print(f"{name.replace('_', ' '):>16}  {value:.4f}")


VERBS = {
    "compose": Verb(compose, Compose, "compose a piece and write it"),
    "evaluate": Verb(evaluate, Options, "nats a frame of MIDI files, or of a .mat file", ("PATH",)),
}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
