"""What a sequence-to-sequence model learns by: the next token, given the true ones before it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from seqjax.decoding import mean_log_probs
from seqjax.losses import coverage_loss, cross_entropy, doubly_stochastic, length_mask
from seqjax.training import Aux, Mean, shift_right
from seqjax.typing import KeyArray, Params


def teacher_forced_loss(
    model: Any,
    params: Params,
    batch: Mapping[str, Any],
    rng: KeyArray,
    step: jax.Array,
    *,
    first: int,
    label_smoothing: float = 0.0,
    sampling: optax.Schedule | None = None,
    coverage: float = 0.0,
    spread: float = 0.0,
) -> tuple[jax.Array, Aux]:
    """Mean cross-entropy of the targets' tokens in nats; with its options bound, what `training.make_train_step` takes.

    Args:
      model: a Flax module that is called like `seqjax.models.Seq2Seq`.
      params: its parameters.
      batch: from `data.pair_batches`, or any mapping with `source`, `targets` and `target_lengths`;
        `source_lengths` may be left out where all of a source counts, as of an image.
      rng: of dropout and of scheduled sampling.
      step: the number of the step, the state's `extra`; the next one is handed on.
      first: the token that the decoder reads first.
      label_smoothing: see `losses.cross_entropy`.
      sampling: probability of reading the true token at each step, see `training.linear_sampling`
        and its kin; None reads the true one always.
      coverage: weight of `losses.coverage_loss`.
      spread: weight of `losses.doubly_stochastic`.

    Returns:
      The loss, and an `Aux` weighed by the targets' tokens that reports `nats`, the plain
      cross-entropy.
    """
    drop, draw = jax.random.split(rng)
    lengths = batch.get("source_lengths")
    decoded: Any = model.apply(
        {"params": params},
        batch["source"],
        lengths,
        shift_right(batch["targets"], first),
        sampling=None if sampling is None else sampling(step),
        rngs={"dropout": drop, "sampling": draw},
    )
    logits, weights = decoded
    mask = length_mask(batch["target_lengths"], logits.shape[1])
    loss = nats = cross_entropy(logits, batch["targets"], mask)
    if label_smoothing:
        loss = cross_entropy(logits, batch["targets"], mask, label_smoothing=label_smoothing)
    if coverage:
        loss += coverage * coverage_loss(weights, mask)
    if spread:
        positions = None if lengths is None else length_mask(lengths, weights.shape[-1])
        loss += spread * doubly_stochastic(weights, mask, positions)
    return loss, Aux(
        weight=mask.sum(), extra=step + 1, metrics={"nats": Mean(nats * mask.sum(), mask.sum())}
    )


def judge(
    model: Any, params: Params, batch: Mapping[str, Any], *, first: int, ensemble: bool = False
) -> dict[str, Mean]:
    """The targets' cross-entropy without dropout, for `training.evaluate`: `{"nats": Mean}`.

    Args:
      model: a Flax module that is called like `seqjax.models.Seq2Seq`.
      params: its parameters.
      batch: as of `teacher_forced_loss`.
      first: the token that the decoder reads first.
      ensemble: `params` are those of several models, stacked on a first axis; their probabilities
        of each token are averaged.
    """
    read = shift_right(batch["targets"], first)

    def score(params: Params) -> jax.Array:
        decoded: Any = model.apply(
            {"params": params}, batch["source"], batch.get("source_lengths"), read
        )
        return decoded.logits

    logits = mean_log_probs(jax.vmap(score)(params)) if ensemble else score(params)
    mask = length_mask(batch["target_lengths"], logits.shape[1])
    return {
        "nats": Mean(
            cross_entropy(logits, batch["targets"], mask) * mask.sum(),
            jnp.asarray(mask.sum(), float),
        )
    }
