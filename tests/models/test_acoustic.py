"""The acoustic model: a stream is the whole, padding stays out, the layers are what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.models import AcousticModel

pytestmark = pytest.mark.usefixtures("quick_compile")

CAUSAL = (seqjax.LSTM(5), seqjax.GRU(4))
BOTH = (seqjax.bidirectional(seqjax.LSTM(5)), seqjax.bidirectional(seqjax.GRU(4)))


def make(layers, getkey, **options):
    model = AcousticModel(7, layers, **options)
    frames = jax.random.normal(getkey(), (3, 13, 2))
    return model, model.init(getkey(), frames), frames


@pytest.mark.parametrize(("stride", "convolution"), [(1, None), (2, None), (3, 6)])
def test_a_stream_gives_what_the_whole_gives(getkey, stride, convolution):
    model, variables, frames = make(CAUSAL, getkey, stride=stride, convolution=convolution)
    whole, lengths = model.apply(variables, frames)
    assert whole.shape == (3, 13 // stride, 7) and lengths.tolist() == [13 // stride] * 3
    state = model.apply(variables, (3,), 2, method="initial_state")
    pieces = []
    for piece in np.split(frames[:, : 13 // stride * stride], [stride, 3 * stride], axis=1):
        state, logits = model.apply(variables, state, piece, method="step")
        pieces.append(logits)
    np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize("convolution", [None, 6])
def test_a_row_knows_neither_its_padding_nor_its_batch(getkey, convolution):
    model, variables, frames = make(BOTH, getkey, stride=2, convolution=convolution)
    lengths = jnp.array([13, 7, 0])
    dirty = jnp.where(jnp.arange(13)[None, :, None] < lengths[:, None, None], frames, jnp.nan)
    logits, steps = model.apply(variables, dirty, lengths=lengths)
    assert steps.tolist() == [6, 3, 0]
    alone, _ = model.apply(variables, frames[1, :7])
    np.testing.assert_allclose(logits[1, :3], alone, atol=1e-5)

    def total(params):
        logits, steps = model.apply({"params": params}, dirty, lengths=lengths)
        return jnp.where(jnp.arange(6)[None, :, None] < steps[:, None, None], logits, 0).sum()

    assert all(
        jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(total)(variables["params"]))
    )


def test_a_step_is_its_frames_the_ones_before_a_norm_and_a_projection(getkey):
    """Written out with NumPy around the recurrence alone."""
    model, variables, frames = make((seqjax.GRU(4),), getkey, stride=2, convolution=6)
    p = jax.tree.map(np.asarray, variables["params"])
    row, steps = np.asarray(frames[0]), []
    for t in range(6):
        seen = [row[place] if place >= 0 else np.zeros(2) for place in range(2 * t - 2, 2 * t + 2)]
        x = np.concatenate(seen) @ p["convolve"]["kernel"] + p["convolve"]["bias"]
        steps.append(np.maximum(x, 0))
    _, ys = seqjax.unroll(seqjax.GRU(4), p["recurrent_0"], np.stack(steps).astype(np.float32))
    ys = np.asarray(ys)
    normal = (ys - ys.mean(-1, keepdims=True)) / np.sqrt(ys.var(-1, keepdims=True) + 1e-6)
    wanted = (normal * p["norms_0"]["scale"] + p["norms_0"]["bias"]) @ p["head"]["kernel"] + p[
        "head"
    ]["bias"]
    np.testing.assert_allclose(model.apply(variables, frames)[0][0], wanted, atol=1e-4)


def test_dropout_is_on_with_a_key(getkey):
    model, variables, frames = make(CAUSAL, getkey, dropout=0.5)
    draw = lambda seed: (  # noqa: E731
        model.apply(variables, frames, rngs={"dropout": jax.random.key(seed)}).logits
    )
    assert (draw(0) != draw(1)).any() and (draw(0) == draw(0)).all()
    assert (model.apply(variables, frames).logits == model.apply(variables, frames).logits).all()


def test_mistakes_are_named(getkey):
    model, variables, frames = make(BOTH, getkey)
    state = model.apply(variables, (3,), 2, method="initial_state")
    with pytest.raises(ValueError, match="reads the future"):
        model.apply(variables, state, frames, method="step")
    model, variables, frames = make(CAUSAL, getkey, stride=2)
    state = model.apply(variables, (3,), 2, method="initial_state")
    with pytest.raises(ValueError, match="13 frames; give a multiple of stride=2"):
        model.apply(variables, state, frames, method="step")
    with pytest.raises(ValueError, match="at least one layer"):
        AcousticModel(7, ()).init(getkey(), frames)
    with pytest.raises(ValueError, match="a stride of 1"):
        AcousticModel(7, CAUSAL, stride=0).init(getkey(), frames)
