"""The report of a recogniser: scores of every decoder, what was heard, and pictures."""

import collections
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.figures import plot_confusion, save_figure
from seqjax.files.disk import write_atomically
from seqjax.metrics.words import word_errors, word_pairs
from seqjax.speech.decoder import Decoder
from seqjax.speech.examples import Examples, part_of
from seqjax.speech.parts import Part, has_room
from seqjax.speech.pictures import plot_alignment
from seqjax.speech.serving import write_down
from seqjax.speech.utterances import DIGITS
from seqjax.tasks import Report
from seqjax.typing import Params

NONE = "(other)"
"""Stands in the confusion for no word and for a rare one."""

NAMED = 20
"""Words that the confusion names, at most."""


def write_report(
    task: Any,
    params: Params,
    examples: Examples | Mapping[str, Examples],
    folder: str | os.PathLike,
) -> Report:
    """Scores greedy decoding, the beam, and the beam with the language model.

    Writes `decoders.tsv`, and of the first part by the last decoder `heard.tsv` (what was said, a
    tab, what was heard), `confusion.png` and `alignment.png`; with a language model `letters.arpa`.

    Args:
      task: a `Recogniser`.
      params: of its network.
      examples: recordings and their texts; or several of these by name, whose names begin those of
        the scores, but for the first.
      folder: exists.

    Returns:
      `{decoder}_wer`, `_cer` and `_ser`, and how many `utterances` and `words` were counted.
    """
    folder, parts = Path(folder), _parts(task, examples)
    decoders = decoders_of(task)
    metrics, counts = {}, {}
    lines = ["part\tdecoder\tWER\tCER\tSER"]
    best: list[list[str]] = []
    for name, part in parts.items():
        texts = part.texts()
        prefix = f"{name}_" if best else ""
        written = write_down(task.serve(params, part), len(texts), list(decoders.values()))
        for decoder, guesses in zip(decoders, written, strict=True):
            errors = word_errors(texts, guesses)
            metrics |= {f"{prefix}{decoder}_{error}": value for error, value in errors.items()}
            cells = [f"{value:.2%}" for value in errors.values()]
            lines.append("\t".join([name or "-", decoder, *cells]))
        best.append(written[-1])
        counts[f"{prefix}utterances"] = len(texts)
        counts[f"{prefix}words"] = sum(len(text.split()) for text in texts)
    _write(folder / "decoders.tsv", lines)
    part = next(iter(parts.values()))
    pairs = zip(part.texts(), best[0], strict=True)
    _write(folder / "heard.tsv", [f"{text}\t{guess}" for text, guess in pairs])
    if task.language_model is not None:
        task.language_model.write(folder / "letters.arpa")
    draw_confusion(folder / "confusion.png", part.texts(), best[0])
    draw_alignment(folder / "alignment.png", task, params, part)
    return Report(metrics, counts)


def decoders_of(task: Any) -> dict[str, Decoder]:
    """Lists the decoders of a recogniser by name, the best last."""
    decoders = {"greedy": task.decoder(1), "beam": task.decoder(language_model=False)}
    if task.language_model is not None:
        decoders["beam_with_language_model"] = task.decoder()
    return decoders


def draw_confusion(path: Path, texts: Sequence[str], heard: Sequence[str]) -> None:
    """Draws the words said and the words heard in their place."""
    pairs = word_pairs(texts, heard, NONE)
    counts = collections.Counter(said for said, _ in pairs if said != NONE)
    frequent = [word for word, _ in counts.most_common(NAMED)]
    names = [*sorted(frequent, key=_place), NONE]
    said = [word if word in names else NONE for word, _ in pairs]
    guessed = [word if word in names else NONE for _, word in pairs]
    plot_confusion(path, said, guessed, names)


def draw_alignment(path: Path, task: Any, params: Params, part: Part) -> None:
    """Draws where the letters of one utterance of about four recordings were heard, if one has room for its text."""
    room = has_room(part, task.front_end.mel, task.model.stride)
    spelt = list(itertools.compress(part.utterances, room))
    if not spelt:
        return
    chosen = min(spelt, key=lambda utterance: abs(len(utterance.clips) - 4))
    one = Part(part.clips, [chosen])
    text = task.codec.known(chosen.text(part.clips))
    (_, emissions), *_ = task.serve(params, one)
    scores = np.asarray(emissions.logits[0, : int(emissions.lengths[0])])
    (spans,) = task.locate(params, one, [text])
    frames = np.asarray(task.front_end.mel(chosen.render(part.clips)))
    figure = plot_alignment(
        frames[: len(scores) * task.model.stride],
        np.exp(scores),
        spans,
        task.codec.vocabulary.tokens,
        seconds=len(scores) * task.seconds_per_step,
        title=text,
    )
    save_figure(figure, path)


def _parts(task: Any, examples: Examples | Mapping[str, Examples]) -> dict[str, Part]:
    """The parts by name, each with its tail of silence; a single one has no name."""
    if not isinstance(examples, Mapping):
        examples = {"": examples}
    return {
        name: part_of(part, task.rate).followed_by(task.tail) for name, part in examples.items()
    }


def _place(word: str) -> tuple[int, str]:
    """Digits in their order, then the other words."""
    return (DIGITS.index(word) if word in DIGITS else len(DIGITS)), word


def _write(path: Path, lines: Sequence[str]) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
