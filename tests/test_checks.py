"""Lengths that are known are checked; lengths that are traced are clamped, in one way everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import decoding, models
from seqjax.checks import checked_lengths

FRAMES = jax.random.normal(jax.random.key(0), (2, 6, 4))
TOKENS = jnp.array([[1, 2, 3, 1, 2, 3], [3, 2, 1, 3, 2, 1]])
BOTH = seqjax.bidirectional(seqjax.GRU(3))


def drawn(model, *inputs, **options):
    """The variables of a model, drawn by one program."""
    return jax.jit(lambda key: model.init(key, *inputs, **options))(jax.random.key(1))


def applied(model, *inputs, **options):
    """The outputs of a model with fresh parameters, as a function of lengths."""
    variables = drawn(model, *inputs, **{name: None for name in options})
    return lambda lengths: model.apply(variables, *inputs, **{name: lengths for name in options})


def classified(pooling):
    return applied(models.SequenceClassifier(3, BOTH, pooling=pooling), FRAMES, lengths=None)


def tagged():
    tagger = models.Tagger(vocab_size=5, num_tags=4, recurrence=BOTH, embedding_size=3)
    return applied(tagger, TOKENS, lengths=None)


def spelt(recurrence):
    tagger = models.Tagger(
        vocab_size=5,
        num_tags=4,
        recurrence=seqjax.GRU(3),
        embedding_size=3,
        char_vocab_size=5,
        char_recurrence=recurrence,
        char_features=3,
    )
    return applied(tagger, TOKENS[0, :2], TOKENS, char_lengths=None)


def encoded():
    encoder = models.Encoder(5, 3, BOTH)
    variables = drawn(encoder, TOKENS)
    return lambda lengths: encoder.apply(variables, TOKENS, lengths)


def framewise():
    model = models.Framewise(5, 3, models.AcousticModel(4, (BOTH,)), repeats=2)
    variables = drawn(model, TOKENS)
    return lambda lengths: model.apply(variables, TOKENS, lengths)


def unrolled(recurrence, **options):
    params = recurrence.init(jax.random.key(1), 4)
    return lambda lengths: seqjax.unroll(recurrence, params, FRAMES, lengths=lengths, **options)


TAKERS = {
    "unroll auto": lambda: unrolled(seqjax.LSTM(3), reverse=True),
    "unroll fused": lambda: unrolled(BOTH, backend="fused"),
    "unroll linear": lambda: unrolled(seqjax.LRU(3)),
    "classifier last": lambda: classified("last"),
    "classifier mean": lambda: classified("mean"),
    "classifier max": lambda: classified("max"),
    "classifier attention": lambda: classified("attention"),
    "tagger": tagged,
    "spelling": lambda: spelt(None),
    "spelling read": lambda: spelt(BOTH),
    "acoustic": lambda: applied(models.AcousticModel(4, (BOTH,), stride=2), FRAMES, lengths=None),
    "encoder": encoded,
    "framewise": framewise,
    "language model": lambda: applied(
        models.LanguageModel(5, 3, seqjax.GRU(3)), TOKENS, lengths=None
    ),
}
"""What makes a function of lengths: made when its test runs, not when the tests are collected."""


@pytest.mark.usefixtures("quick_compile")
@pytest.mark.parametrize("make", TAKERS.values(), ids=TAKERS.keys())
def test_traced_lengths_are_clamped(make):
    take = make()
    compiled = jax.jit(take)
    given, wanted = compiled(jnp.array([99, -3])), compiled(jnp.array([6, 0]))
    jax.tree.map(np.testing.assert_array_equal, given, wanted)
    with pytest.raises(ValueError, match="a length is 99"):
        take(np.array([99, 3]))


def test_a_prompt_has_at_least_one_token():
    step = lambda params, state, tokens: (state, jax.nn.one_hot(tokens, 5))  # noqa: E731
    write = jax.jit(
        lambda lengths: decoding.sample(
            step,
            {},
            jnp.zeros((2, 1)),
            TOKENS,
            length=2,
            key=jax.random.key(0),
            prompt_lengths=lengths,
        )
    )
    jax.tree.map(
        np.testing.assert_array_equal, write(jnp.array([99, -3])), write(jnp.array([6, 1]))
    )


def test_wide_integers_are_clamped_before_they_are_narrowed(x64):
    clamp = jax.jit(lambda lengths: checked_lengths(lengths, (2,), 5))
    np.testing.assert_array_equal(clamp(jnp.array([2**40 + 2, -(2**40)])), [5, 0])


@pytest.mark.parametrize(
    "lengths", [[3, 1], (3, 1), np.array([3, 1], np.uint8), [np.int64(3), 1], jnp.array([3, 1])]
)
def test_lengths_of_any_kind(lengths):
    given = checked_lengths(lengths, (2,), 4)
    assert given.tolist() == [3, 1] and given.dtype == jnp.int32
    traced = jax.jit(lambda lengths: checked_lengths(lengths, (2,), 4))(lengths)
    assert traced.tolist() == [3, 1] and traced.dtype == jnp.int32


def test_a_list_of_traced_and_known_lengths():
    given = jax.jit(lambda length: checked_lengths([length, 9], (2,), 4))(3)
    assert given.tolist() == [3, 4]


def test_no_rows_have_no_lengths():
    assert checked_lengths([], (0,), 4).dtype == jnp.int32
