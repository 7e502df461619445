"""Whole tasks in the sizes of the experiments, for `training.py` and `inference.py`: batches, networks and losses.

Data are random, and all rows are full. `torch_tasks.py` has the same networks in PyTorch.

* `char_lm`: 64 windows of 100 characters of 65, embedding 128, two LSTM layers of 256.
* `mnist_rows`: 128 pictures of 28 rows of 28 pixels, two bidirectional LSTM layers of 128.
* `tagging`: 30 sentences of 20 words of 10,000, embedding 100, a bidirectional LSTM of 128, a CRF of
  17 tags.
* `translate`: 100 pairs of 25 tokens of 5,000, one embedding of 256 for both sides that also scores,
  a bidirectional LSTM of 128 reads, an LSTM of 256 writes, attention with a general score after it;
  label smoothing 0.1. (The experiment has GRUs and additive attention.)
* `speech`: 16 utterances of 250 frames of 40 bands, two frames a step, two bidirectional LSTM layers
  of 128 with layer norm behind each, CTC of 20 letters of 28.
* `deepar`: 64 windows of 216 steps of 12 features, two LSTM layers of 40, Student's t.
* `caption`: 32 pictures of 32 by 32 pixels, a convolutional net, additive attention over 16 cells
  before each of 12 words of 40, embedding 64, an LSTM of 128; label smoothing 0.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

DROPOUT = {
    "char_lm": 0.3,
    "mnist_rows": 0.3,
    "tagging": 0.4,
    "translate": 0.3,
    "speech": 0.2,
    "deepar": 0.1,
    "caption": 0.1,
}
TASKS = tuple(DROPOUT)

CLASSES = 10
CHARACTERS, WORDS, TAGS = 65, 10_000, 17
TOKENS, CAPTION_WORDS = 5000, 40
BANDS, STRIDE, LETTERS = 40, 2, 28
FEATURES, LAGS = 12, 5
STAGES = (32, 64, 128)
SMOOTHING = 0.1


class Batch(NamedTuple):
    """What a network is called with, and what it shall say; None stands for the lengths of full rows."""

    inputs: tuple[Any, ...]
    targets: Any


def batch_of(task: str) -> Batch:
    """Draws a batch."""
    rng = np.random.default_rng(0)
    uniform = lambda *shape: rng.random(shape, np.float32)  # noqa: E731
    match task:
        case "char_lm":
            tokens = rng.integers(0, CHARACTERS, (64, 101))
            return Batch((tokens[:, :-1],), tokens[:, 1:])
        case "mnist_rows":
            return Batch((uniform(128, 28, 28),), rng.integers(0, CLASSES, 128))
        case "tagging":
            shape = (30, 20)
            return Batch((rng.integers(0, WORDS, shape),), rng.integers(0, TAGS, shape))
        case "translate":
            source, targets = rng.integers(0, TOKENS, (2, 100, 25))
            return Batch((source, None, shifted(targets)), targets)
        case "speech":
            return Batch((uniform(16, 250, BANDS),), rng.integers(1, LETTERS, (16, 20)))
        case "deepar":
            return Batch((uniform(64, 216, FEATURES),), uniform(64, 216))
        case "caption":
            targets = rng.integers(0, CAPTION_WORDS, (32, 12))
            return Batch((uniform(32, 32, 32, 3), None, shifted(targets)), targets)
    raise ValueError(task)


def shifted(targets: np.ndarray) -> np.ndarray:
    """Returns what a decoder reads to write the targets: token 0 first."""
    return np.pad(targets, ((0, 0), (1, 0)))[:, :-1]


def network_of(task: str) -> Any:
    """Makes the Flax module of a task."""
    import seqjax
    from seqjax import models

    dropout = DROPOUT[task]

    def layers(layer: Any, count: int) -> Any:
        return seqjax.stack(*[layer] * count, dropout=dropout)

    def both_ways(units: int) -> Any:
        return seqjax.bidirectional(seqjax.LSTM(units))

    match task:
        case "char_lm":
            return models.LanguageModel(CHARACTERS, 128, layers(seqjax.LSTM(256), 2))
        case "mnist_rows":
            return models.SequenceClassifier(CLASSES, layers(both_ways(128), 2), dropout=dropout)
        case "tagging":
            return models.Tagger(WORDS, TAGS, both_ways(128), 100, dropout=dropout)
        case "translate":
            encoder = models.Encoder(TOKENS, 256, both_ways(128), dropout)
            decoder = models.Decoder(TOKENS, 256, seqjax.LSTM(256), dropout=dropout, tied=True)
            return models.Seq2Seq(encoder, decoder, shared=True)
        case "speech":
            return models.AcousticModel(
                LETTERS, (both_ways(128),) * 2, stride=STRIDE, dropout=dropout
            )
        case "deepar":
            return deepar_network(layers(seqjax.LSTM(40), 2))
        case "caption":
            cells = STAGES[-1]
            decoder = models.Decoder(
                CAPTION_WORDS,
                64,
                seqjax.LSTM(128),
                attention="additive",
                form="bahdanau",
                attention_units=cells,
                dropout=dropout,
            )
            encoder = models.ImageEncoder(models.ConvGrid(STAGES), cells, dropout)
            return models.Captioner(encoder, decoder)
    raise ValueError(task)


def deepar_network(recurrence: Any) -> Any:
    """Makes what says three numbers of each value: of the outputs, and directly of the lagged values."""
    import flax.linen as nn
    import jax.numpy as jnp

    from seqjax import models

    class Network(nn.Module):
        @nn.compact
        def __call__(self, xs):
            _, ys = models.Recurrent(recurrence)(xs)
            return nn.Dense(3)(jnp.concatenate([ys, xs[..., :LAGS]], -1))

    return Network()


def loss_of(task: str) -> Callable[[Any, Any], Any]:
    """Returns the loss of what a network said, given the targets."""
    from seqjax import losses

    def smoothed(decoded, targets):
        return losses.cross_entropy(decoded.logits, targets, label_smoothing=SMOOTHING)

    return {
        "char_lm": lambda found, targets: losses.cross_entropy(found[1], targets),
        "mnist_rows": losses.cross_entropy,
        "tagging": lambda scores, tags: -losses.crf.log_likelihood(tags, *scores).mean(),
        "translate": smoothed,
        "speech": lambda found, letters: losses.ctc(found.logits, letters).mean(),
        "deepar": lambda raw, values: losses.likelihoods.StudentT().loss(raw, values).mean(),
        "caption": smoothed,
    }[task]


def set_precision(precision: str) -> None:
    """Asks JAX for products in a precision, for all that is compiled from here on."""
    import jax

    asked = None if precision == "float32" else precision
    jax.config.update("jax_default_matmul_precision", asked)
