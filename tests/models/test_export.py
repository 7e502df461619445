"""Every model leaves the process with symbolic batch and time: `jax.export` of what a call computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import seqjax
from seqjax import models

pytestmark = pytest.mark.usefixtures("unchecked")  # Annotations say int where a size is symbolic.

BOTH = seqjax.bidirectional(seqjax.LSTM(3), seqjax.GRU(3))
DEEP = seqjax.stack(seqjax.GRU(3), seqjax.gated(seqjax.LRU(3)), seqjax.residual(seqjax.MinGRU(3)))
BACKENDS = ("scan", "fused")

TOKENS = ("b, t", jnp.int32)
FRAMES = ("b, t, 4", jnp.float32)
LENGTHS = ("b", jnp.int32)


def classify(pooling, recurrence):
    return lambda backend: models.SequenceClassifier(
        3, recurrence, pooling=pooling, backend=backend
    )


def translate(attention, **options):
    """A sequence to sequence model."""

    def build(backend):
        encoder = models.Encoder(5, 3, BOTH, backend=backend)
        return models.Seq2Seq(
            encoder, models.Decoder(5, 3, seqjax.GRU(6), attention, backend=backend, **options)
        )

    return build


def caption(backend):
    decoder = models.Decoder(5, 3, seqjax.LSTM(6), "additive", "bahdanau", backend=backend)
    return models.Captioner(models.ImageEncoder(models.ConvGrid((4, 4)), 6), decoder)


def tag(recurrence):
    return lambda backend: models.Tagger(
        vocab_size=5,
        num_tags=4,
        recurrence=BOTH,
        embedding_size=3,
        char_vocab_size=5,
        char_recurrence=recurrence,
        char_features=3,
        backend=backend,
    )


def apply(model, variables, *inputs):
    return model.apply(variables, *inputs)


def with_lengths(model, variables, inputs, lengths):
    return model.apply(variables, inputs, lengths=lengths)


SPELT = (TOKENS, ("b, t, n", jnp.int32))
PAIRS = (TOKENS, LENGTHS, ("b, u", jnp.int32))
PICTURES = (("b, 8, 8, 3", jnp.float32), None, ("b, u", jnp.int32))
MODELS = {
    "language model": (
        lambda backend: models.LanguageModel(5, 3, DEEP, backend=backend),
        apply,
        (TOKENS,),
    ),
    "classifier last": (classify("last", BOTH), with_lengths, (FRAMES, LENGTHS)),
    "classifier mean": (classify("mean", DEEP), with_lengths, (FRAMES, LENGTHS)),
    "classifier max": (classify("max", DEEP), with_lengths, (FRAMES, LENGTHS)),
    "classifier attention": (classify("attention", BOTH), with_lengths, (FRAMES, LENGTHS)),
    "tagger": (tag(None), apply, SPELT),
    "tagger reading": (tag(BOTH), apply, SPELT),
    "acoustic": (
        lambda backend: models.AcousticModel(
            5, (BOTH, seqjax.LRU(4)), stride=2, convolution=6, backend=backend
        ),
        with_lengths,
        (("b, 2*t, 4", jnp.float32), LENGTHS),  # whole steps of the stride
    ),
    "framewise": (
        lambda backend: models.Framewise(5, 3, models.AcousticModel(5, (BOTH,), backend=backend)),
        apply,
        (TOKENS, LENGTHS),
    ),
    "seq2seq": (translate("general"), apply, PAIRS),
    "seq2seq location": (translate("location"), apply, PAIRS),
    "seq2seq heads": (translate("multi_head", attention_units=8), apply, PAIRS),
    "seq2seq coverage": (translate("additive", coverage=True, copying=0), apply, PAIRS),
    "seq2seq fed": (translate("concat", input_feeding=True), apply, PAIRS),
    "captioner": (caption, apply, PICTURES),
}


def structs(specs, scope=None):
    """The inputs, symbolic, or of three rows and six steps."""
    sizes = {"b": 3, "t": 6, "2*t": 6, "n": 2, "u": 5}
    made = []
    for spec in specs:
        if spec is None:
            made.append(None)
            continue
        shape, dtype = spec
        if scope is None:
            shape = tuple(sizes.get(name) or int(name) for name in shape.split(", "))
        else:
            shape = export.symbolic_shape(shape, scope=scope)
        made.append(jax.ShapeDtypeStruct(shape, dtype))
    return made


def exported(build, call, specs, backend):
    """The exported call, and the model."""
    model = build(backend)
    plain = structs(specs)
    init = lambda: model.init(  # noqa: E731
        jax.random.key(0), *(x if x is None else jnp.ones(x.shape, x.dtype) for x in plain)
    )
    if call is with_lengths:
        init = lambda: model.init(jax.random.key(0), jnp.ones(plain[0].shape, plain[0].dtype))  # noqa: E731
    variables = jax.eval_shape(init)
    compute = jax.jit(lambda variables, *inputs: call(model, variables, *inputs))
    return export.export(compute)(variables, *structs(specs, export.SymbolicScope()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("build", "call", "specs"), MODELS.values(), ids=MODELS.keys())
def test_every_model_exports_with_symbolic_batch_and_time(build, call, specs, backend):
    program = exported(build, call, specs, backend)
    assert any(not isinstance(size, int) for out in program.out_avals for size in out.shape)


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_export_with_a_symbolic_batch(backend):
    model = models.LanguageModel(5, 3, DEEP, backend=backend)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.ones((1, 2), int)))
    (batch,) = export.symbolic_shape("b")

    def step(variables, tokens):
        state = model.apply(variables, tokens.shape, method="initial_state")
        return model.apply(variables, state, tokens, method="step")[1]

    program = export.export(jax.jit(step))(variables, jax.ShapeDtypeStruct((batch,), jnp.int32))
    assert program.out_avals[0].shape == (batch, 5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exported_model_says_what_the_model_says(quick_compile, backend):
    model = models.LanguageModel(5, 3, DEEP, backend=backend)
    tokens = np.random.default_rng(0).integers(0, 5, (2, 7))
    variables = model.init(jax.random.key(0), tokens)
    compute = jax.jit(lambda variables, tokens: model.apply(variables, tokens)[1])
    batch, time = export.symbolic_shape("b, t")
    program = export.export(compute)(variables, jax.ShapeDtypeStruct((batch, time), tokens.dtype))
    for shape in ((2, 7), (1, 4)):
        given = program.call(variables, tokens[: shape[0], : shape[1]])
        wanted = compute(variables, tokens[: shape[0], : shape[1]])
        np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-6)
