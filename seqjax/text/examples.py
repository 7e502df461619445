"""Examples of a `Translator`: sources and their targets, checked before anything is learnt of them."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from seqjax.text.codecs import KINDS, Codec, Symbols, learn_codec

Examples: TypeAlias = Sequence[Any]
"""`(sources, targets)`; a target may be a list of several that are as good."""

Codecs: TypeAlias = str | Codec | tuple[str | Codec, str | Codec]
"""Codecs or their kinds, see `codecs.learn_codec`: one that both sides share, or one for each."""


def checked(
    examples: Examples, source: Codec | type, target: Codec | type
) -> tuple[list[Any], list[list[Any]]]:
    """Returns the sources, and the list of targets of each.

    Args:
      examples: sources and targets.
      source: codec of the sources, or its class.
      target: codec of the targets, or its class.

    Raises:
      ValueError: sources and targets differ in number, or one is of another kind or empty (which).
    """
    if len(examples) != 2:
        raise ValueError(f"{len(examples)} columns of examples; give (sources, targets)")
    sources, targets = map(list, examples)
    if len(sources) != len(targets):
        raise ValueError(
            f"{len(sources):,} sources and {len(targets):,} targets; give one target for each source"
        )
    if not sources:
        raise ValueError("there is no pair; give at least one")
    references = [several(each, target) for each in targets]
    for row, alternatives in enumerate(references):
        _check_filled("source", row, sources[row], source)
        if not alternatives:
            raise ValueError(f"target {row} is empty; leave the pair out")
        for each in alternatives:
            _check_filled("target", row, each, target)
    return sources, references


def several(target: Any, codec: Codec | type) -> list[Any]:
    """Returns the targets that a source has: the one given, or those in the list given."""
    if isinstance(target, str) or not isinstance(target, Iterable):
        return [target]
    alternatives = list(target)
    is_of_symbols = codec is Symbols or isinstance(codec, Symbols)
    if is_of_symbols and alternatives and all(isinstance(item, str) for item in alternatives):
        return [target]
    return alternatives


def check(side: str, row: int, sequence: Any, codec: Codec | type) -> None:
    """Refuses a sequence that a codec does not take.

    Raises:
      ValueError: says which, and what to give.
    """
    if not codec.accepts(sequence):
        raise ValueError(f"{side} {row} is {short(sequence)}; give {codec.wants}")


def is_empty(sequence: Any) -> bool:
    """Tells whether a text is blank, or a list has no symbol."""
    return not sequence.strip() if isinstance(sequence, str) else not len(sequence)


def short(sequence: Any) -> str:
    """Returns the beginning of a sequence, for messages."""
    return f"{sequence!r:.40}"


def strangers(
    examples: Examples, source: Codec, target: Codec
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Finds symbols of examples that codecs do not know.

    Args:
      examples: sources and targets.
      source: codec of the sources.
      target: codec of the targets.

    Returns:
      For the sources and for the targets: symbol -> the examples that have it.
    """
    read: dict[str, list[int]] = {}
    written: dict[str, list[int]] = {}
    for row, (each, targets) in enumerate(zip(*checked(examples, source, target), strict=True)):
        for symbol in sorted(source.unknown(each)):
            read.setdefault(symbol, []).append(row)
        new = {symbol for alternative in targets for symbol in target.unknown(alternative)}
        for symbol in sorted(new):
            written.setdefault(symbol, []).append(row)
    return read, written


def learnable(task: Any, examples: Examples) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Numbers each source with each of its targets.

    Args:
      task: a `Translator`.
      examples: sources and targets.

    Returns:
      Of each pair the ids to read and to write; None in the place of one that cannot be learnt.

    Raises:
      ValueError: a target has a symbol that the task does not know (which), or no pair can be
        learnt.
    """
    bound = task.max_training_length
    pairs = []
    for row, (source, targets) in enumerate(zip(*task.checked(examples), strict=True)):
        for target in targets:
            if unknown := task.target.unknown(target):
                raise ValueError(
                    f"target {row} ({short(target)}): {unknown[0]!r} is not among the tokens "
                    "learnt; make the task of these targets too"
                )
            pair = number_pair(task, source, target)
            if pair is not None and bound is not None and max(map(len, pair)) > bound:
                pair = None
            pairs.append(pair)
    if all(pair is None for pair in pairs):
        reason = task.network.too_long
        if bound is not None:
            reason = f"all are longer than max_training_length={bound}; raise it"
        raise ValueError(f"no pair can be learnt: {reason}")
    return pairs


def number_pair(task: Any, source: Any, target: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the ids of a pair; None where the network cannot write the target."""
    new = task.source.new(source)
    read = task.source.encode(source, new)
    written = task.network.target(read, task.target.encode(target, new))
    return None if written is None else (read, written)


def learn_codecs(
    examples: Examples, codecs: Codecs, vocab_size: int, copied: int
) -> tuple[Codec, Codec, str]:
    """Learns the codec of each side from training pairs.

    Args:
      examples: sources and targets.
      codecs: their kinds, or codecs that were made before.
      vocab_size: tokens of a codec of subwords or words, at most.
      copied: see `codecs.Words`.

    Returns:
      The codec of the sources, that of the targets, and the characters of all texts they read.

    Raises:
      ValueError: a kind is unknown, or a pair cannot be learnt (which).
    """
    pair = codecs if isinstance(codecs, tuple) else (codecs, codecs)
    source, target = map(_class_of, pair)
    sources, references = checked(examples, source, target)
    written = [each for alternatives in references for each in alternatives]
    if isinstance(codecs, tuple):
        read = sources
        found = [
            _learnt(codec, column, vocab_size, copied)
            for codec, column in zip(pair, (sources, written), strict=True)
        ]
    else:
        read = sources + written
        found = [_learnt(codecs, read, vocab_size, copied)] * 2
    texts = [text for text in read if isinstance(text, str)]
    return found[0], found[1], "".join(sorted(set("".join(texts))))


def _class_of(codec: str | Codec) -> type:
    if not isinstance(codec, str):
        return type(codec)
    if codec not in KINDS:
        raise ValueError(f"the codec {codec!r} is unknown; choose one of {', '.join(KINDS)}")
    return KINDS[codec]


def _learnt(codec: str | Codec, column: list[Any], vocab_size: int, copied: int) -> Codec:
    return learn_codec(codec, column, vocab_size, copied) if isinstance(codec, str) else codec


def _check_filled(side: str, row: int, sequence: Any, codec: Codec | type) -> None:
    check(side, row, sequence, codec)
    if is_empty(sequence):
        raise ValueError(f"{side} {row} is empty; leave the pair out")
