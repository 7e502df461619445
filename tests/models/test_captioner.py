"""The captioner: the grid lies over the picture, any backbone fits, and the decoder is that of sequence to sequence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.models import Captioner, ConvGrid, Decoder, ImageEncoder, Seq2Seq

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3)).astype(np.uint8)
WORDS = np.array([[1, 4, 5], [1, 6, 2]])

pytestmark = pytest.mark.usefixtures("quick_compile")


def make(bridge="projected", **options):
    decoder = {"attention": "additive", "form": "bahdanau"} | options
    encoder = ImageEncoder(ConvGrid((8, 16)), 10)
    return Captioner(encoder, Decoder(7, 4, seqjax.LSTM(6), **decoder), bridge)


@pytest.fixture(scope="module")
def attending():
    model = make()
    return model, model.init(jax.random.key(0), IMAGES, None, WORDS)["params"]


def test_it_is_sequence_to_sequence_over_the_grid(attending):
    model, params = attending
    found = model.apply({"params": params}, IMAGES, None, WORDS)
    assert found.attention.shape == (2, 3, 2 * 3)
    np.testing.assert_allclose(found.attention.sum(-1), 1, rtol=1e-5)
    wanted = Seq2Seq(model.encoder, model.decoder).apply({"params": params}, IMAGES, None, WORDS)
    np.testing.assert_array_equal(found.logits, wanted.logits)
    context, state = model.start(params, IMAGES)
    for t in range(3):
        state, logits = model.advance(context, state, WORDS[:, t])
        np.testing.assert_allclose(logits, found.logits[:, t], atol=2e-6)


def test_a_row_does_not_depend_on_its_batch(attending):
    model, params = attending
    alone = model.apply({"params": params}, IMAGES[1:], None, WORDS[1:]).logits
    np.testing.assert_allclose(
        model.apply({"params": params}, IMAGES, None, WORDS).logits[1:], alone, atol=2e-6
    )


def test_bytes_and_floats_are_the_same_image(attending):
    model, params = attending
    floats = model.apply({"params": params}, IMAGES.astype(np.float32) / 255, None, WORDS).logits
    np.testing.assert_allclose(
        model.apply({"params": params}, IMAGES, None, WORDS).logits, floats, atol=2e-6
    )


def test_show_and_tell_reads_the_picture_as_its_first_word():
    model = make("read", attention=None, form="luong")
    params = model.init(jax.random.key(0), IMAGES, None, WORDS)["params"]
    cells = model.encoder.clone(name=None).apply({"params": params["encoder"]}, IMAGES).values
    highest = np.asarray(cells).max(1)
    summary = (highest - highest.mean(1, keepdims=True)) / np.sqrt(
        highest.var(1, keepdims=True) + 1e-6
    )
    token = summary @ params["token"]["kernel"] + params["token"]["bias"][None]
    embedded = jnp.concatenate([token[:, None], params["decoder"]["table"]["embedding"][WORDS]], 1)
    _, outputs = seqjax.unroll(model.decoder.recurrence, params["decoder"]["recurrent"], embedded)
    head = params["decoder"]["head"]
    wanted = outputs[:, 1:] @ head["kernel"] + head["bias"][None, None]
    np.testing.assert_allclose(
        model.apply({"params": params}, IMAGES, None, WORDS).logits, wanted, atol=1e-5
    )


def test_a_small_object_counts_in_the_summary_as_in_a_small_picture():
    """A mean over the grid would drown it: the larger the picture, the less would be left of it."""
    encoder = ImageEncoder(ConvGrid((8, 16), blocks=0), 10)
    params = encoder.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))

    def told(side):
        empty = jnp.ones((1, side, side, 3))
        shown = empty.at[:, side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2, 0].set(0)
        return float(
            jnp.linalg.norm(encoder.apply(params, shown).final - encoder.apply(params, empty).final)
        )

    assert told(64) > 0.5 * told(16) > 0.1


@pytest.mark.parametrize(
    "options", [{"form": "bahdanau"}, {"form": "luong", "input_feeding": True}]
)
def test_a_first_word_may_be_read_by_any_decoder(options):
    model = make("read", **options)
    params = model.init(jax.random.key(0), IMAGES, None, WORDS)["params"]
    _, state = model.start(params, IMAGES)
    assert all(np.abs(leaf).max() > 0 for leaf in state.recurrent)
    np.testing.assert_array_equal(state.attention, 0)  # the first true word is yet to come


def test_the_grid_lies_over_the_picture():
    """Without blocks that see further, a cell answers most to its own pixels, and left of them as to the right."""
    grid, images = ConvGrid((8, 8, 8), blocks=0), jnp.full((1, 48, 48, 1), 0.3)
    variables = grid.init(jax.random.key(1), images)
    slope = jax.grad(lambda x: (grid.apply(variables, x)[0, 3, 3] ** 2).sum())(images)[0, :, :, 0]
    near = np.argwhere(np.abs(slope) > 1e-2 * np.abs(slope).max())
    # Cell 3 shows pixels 24 to 31: it sees 7 more on each side.
    assert near.min() == 24 - 7 and near.max() == 31 + 7


def test_cells_know_where_they_are():
    class Flat(nn.Module):
        def __call__(self, images):
            return jnp.zeros((*images.shape[:1], 2, 4, 1))

    encoder = ImageEncoder(Flat(), 3)
    variables = encoder.init(jax.random.key(0), IMAGES)
    kernel = variables["params"]["Dense_0"]["kernel"]
    places = np.array([[0, x, y] for y in (-0.5, 0.5) for x in (-0.75, -0.25, 0.25, 0.75)])
    np.testing.assert_allclose(
        encoder.apply(variables, IMAGES).values[0], np.maximum(places @ kernel, 0), atol=1e-6
    )


def test_another_backbone_may_be_plugged_in():
    backbone = nn.Sequential([nn.Conv(5, (3, 3), (4, 4)), nn.relu])
    model = Captioner(ImageEncoder(backbone, 6), Decoder(7, 4, seqjax.GRU(6)))
    params = model.init(jax.random.key(0), IMAGES, None, WORDS)["params"]
    assert model.apply({"params": params}, IMAGES, None, WORDS).attention.shape == (2, 3, 2 * 3)


def test_scheduled_sampling_reads_its_own_words(attending):
    model, params = attending
    own = model.apply(
        {"params": params}, IMAGES, None, WORDS, sampling=0.0, rngs={"sampling": jax.random.key(0)}
    ).logits
    true = model.apply({"params": params}, IMAGES, None, WORDS).logits
    read = np.concatenate([WORDS[:, :1], own[:, :-1].argmax(-1)], 1)
    np.testing.assert_allclose(
        own, model.apply({"params": params}, IMAGES, None, read).logits, atol=2e-6
    )
    assert not np.allclose(own, true)


def test_mistakes_are_named(unchecked):
    with pytest.raises(ValueError, match=r"images have shape \(8, 12, 3\); give \[batch"):
        ImageEncoder(ConvGrid((8,))).init(jax.random.key(0), IMAGES[0])
    with pytest.raises(ValueError, match=r"the backbone gives shape \(2, 3\); wanted a grid"):
        ImageEncoder(lambda x: x.mean((1, 2))).init(jax.random.key(0), IMAGES)
