"""Whole recordings through the network, in batches of few shapes; and what is made of its scores."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.typing import ArrayLike

from seqjax import losses
from seqjax.models.acoustic import AcousticModel, Emissions
from seqjax.speech.batches import Collator
from seqjax.speech.decoder import Decoder, align_letters
from seqjax.speech.front_end import FrontEnd
from seqjax.speech.letters import LetterCodec
from seqjax.speech.parts import Part
from seqjax.typing import Params

Served: TypeAlias = tuple[dict[str, np.ndarray], Emissions]
"""A batch of `Collator`, and the log-probabilities of its steps."""

Spans: TypeAlias = list[tuple[str, float, float]]
"""Letters, each with the seconds from and to."""


_ctc = jax.jit(losses.ctc)


@functools.partial(jax.jit, static_argnums=(0, 1))
def emit(
    front_end: FrontEnd,
    model: AcousticModel,
    params: Params,
    samples: ArrayLike,
    frames: ArrayLike,
) -> Emissions:
    """Computes log-probabilities under whole sounds.

    Args:
      front_end: makes the features.
      model: scores the symbols.
      params: the model's.
      samples: `[batch, samples]`.
      frames: valid frames of each row, `[batch]`.

    Returns:
      `Emissions` whose logits are log-probabilities.
    """
    features = front_end.features(samples, frames)
    emitted: Any = model.apply({"params": params}, features, lengths=frames)
    return Emissions(jax.nn.log_softmax(emitted.logits), emitted.lengths)


def serve(
    front_end: FrontEnd, model: AcousticModel, codec: LetterCodec, params: Params, part: Part
) -> Iterator[Served]:
    """Computes the log-probabilities of every utterance of a part, a batch at a time.

    Args:
      front_end: makes the features.
      model: scores the symbols.
      codec: gives the symbols of the texts.
      params: the model's.
      part: the utterances.
    """
    collate = Collator(part, front_end.mel, codec)
    for chosen in collate.serving(model.stride):
        batch = collate(chosen)
        yield batch, emit(front_end, model, params, batch["samples"], batch["frames"])


def ctc_of(batch: dict[str, np.ndarray], emissions: Emissions) -> np.ndarray:
    """Computes the nats of each row's text, `[rows]`."""
    nats = _ctc(emissions.logits, batch["labels"], emissions.lengths, batch["label_lengths"])
    return np.asarray(nats, np.float64)


def write_down(
    served: Iterable[Served], count: int, decoders: Sequence[Decoder]
) -> list[list[str]]:
    """Decodes what was heard by several decoders.

    Args:
      served: from `serve`.
      count: utterances of the part.
      decoders: functions of emissions.

    Returns:
      The texts of each decoder, in the order of the utterances.
    """
    written = [[""] * count for _ in decoders]
    for batch, emissions in served:
        for texts, decode in zip(written, decoders, strict=True):
            for index, text in zip(batch["indices"], decode(emissions), strict=True):
                if index >= 0:
                    texts[index] = text
    return written


def locate(
    served: Iterable[Served],
    part: Part,
    codec: LetterCodec,
    texts: Sequence[str] | Decoder,
    seconds: float,
) -> list[Spans]:
    """Finds from when to when each letter is said.

    Args:
      served: from `serve`.
      part: the utterances.
      codec: has all letters of the texts.
      texts: what is said in each, or what decodes it.
      seconds: of a step.

    Raises:
      ValueError: texts are too few or too many, or one has a letter that the codec lacks or needs
        more steps than there are (which).
    """
    if not isinstance(texts, Decoder):
        _check_texts(texts, part, codec)
    spans: list[Spans] = [[]] * len(part.utterances)
    for batch, emissions in served:
        said = _said(batch["indices"], emissions, texts)
        found = align_letters(emissions, codec, said, seconds)
        for index, text, letters in zip(batch["indices"], said, found, strict=True):
            if index < 0:
                continue
            if letters is None:
                names = [part.clips.names[clip] for clip in part.utterances[index].clips]
                raise ValueError(
                    f"{', '.join(names)}: too few steps of sound for {text!r}; give what is said in it"
                )
            spans[index] = letters
    return spans


def _check_texts(texts: Sequence[str], part: Part, codec: LetterCodec) -> None:
    """Refuses texts that cannot be those of a part."""
    if len(texts) != len(part):
        raise ValueError(
            f"{len(part):,} recordings and {len(texts):,} texts; give one text for each"
        )
    for place, text in enumerate(texts):
        if not codec.writes(text):
            raise ValueError(
                f"text {place}, {text!r}, has letters that no training text had; leave them out"
            )


def _said(indices: np.ndarray, emissions: Emissions, texts: Sequence[str] | Decoder) -> list[str]:
    """The text of each row, nothing for an empty one."""
    if isinstance(texts, Decoder):
        return texts(emissions)
    return [str(texts[index]) if index >= 0 else "" for index in indices]
