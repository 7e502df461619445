"""Writes on from prompts of any lengths, in few compiled shapes."""

import functools
from typing import Any

import jax
import numpy as np

from seqjax import data, decoding
from seqjax.models import LanguageModel
from seqjax.typing import KeyArray, Params, State


def write_on(
    model: LanguageModel,
    params: Params,
    prompts: list[np.ndarray],
    key: KeyArray,
    max_length: int,
    *,
    stop_token: int | None = None,
    **options: Any,
) -> list[np.ndarray]:
    """Draws tokens after each prompt.

    Args:
      model: the network.
      params: its parameters.
      prompts: ids of each, at least one.
      key: of the draws; those of a prompt depend on it and on the prompt's place alone.
      max_length: tokens to write.
      stop_token: ends what is written, without being part of it.
      **options: `temperature`, `top_k` and `top_p` of `seqjax.decoding.sample`.

    Returns:
      The ids after each prompt, int32 `[at most max_length]`.
    """
    written: list[np.ndarray] = [np.zeros(0, np.int32)] * len(prompts)
    for chosen in serving_batches(prompts):
        prompt, lengths, _ = pad_chosen(prompts, chosen)
        places = np.zeros(chosen.rows, np.int64)
        places[: len(chosen.indices)] = chosen.indices
        state, keys = _begun(model, params, key, places)
        samples = decoding.sample(
            model.advance,
            params,
            state,
            prompt,
            keys,
            max_length,
            # Rows that fill the batch up are written as well, and thrown away.
            prompt_lengths=np.maximum(lengths, 1),
            stop_token=stop_token,
            **options,
        )
        tokens, counts = jax.device_get(samples)
        for row, place in enumerate(chosen.indices):
            written[place] = _without_stop(tokens[row, : counts[row]], stop_token)
    return written


def serving_batches(ids: list[np.ndarray], steps: int = 2**15) -> list[data.IndexBatch]:
    """Plans batches of few shapes for texts of any lengths, see `data.serving_batches`; none for no text."""
    return data.serving_batches([len(own) for own in ids], steps) if ids else []


def pad_chosen(
    ids: list[np.ndarray], chosen: data.IndexBatch
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pads the texts of a batch, see `data.pad_batch`."""
    return data.pad_batch([ids[place] for place in chosen.indices], chosen.time, chosen.rows)


def _without_stop(tokens: np.ndarray, stop_token: int | None) -> np.ndarray:
    ended = stop_token is not None and len(tokens) and tokens[-1] == stop_token
    return tokens[:-1] if ended else tokens


@functools.partial(jax.jit, static_argnames="model")
def _begun(
    model: LanguageModel, params: Params, key: jax.Array, places: jax.Array
) -> tuple[State, jax.Array]:
    """Returns the state before each prompt, and a key for each place, `[rows]`: one program to compile."""
    state = model.start(params, (len(places),))
    return state, jax.vmap(jax.random.fold_in, (None, 0))(key, places)
