"""Images varied for training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.vision import vary_images

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_images_vary_each_in_its_own_way_and_white_stays_white(getkey):
    images = np.full((3, 20, 16, 3), 255, np.uint8)
    images[:2, 8:12, 6:10] = 40
    key = getkey()
    varied = vary_images(key, jnp.asarray(images))
    assert varied.shape == images.shape and varied.dtype == jnp.float32
    assert 0 <= varied.min() and varied.max() <= 1
    assert np.abs(varied[0] - varied[1]).max() > 0.05
    np.testing.assert_allclose(varied[2], 1, atol=1e-6)
    # The object is still there, about where it was and as dark.
    dark = np.argwhere(np.asarray(varied[0]).mean(-1) < 0.5)
    assert len(dark) and np.abs(dark.mean(0) - [9.5, 7.5]).max() < 4
    np.testing.assert_array_equal(varied, vary_images(key, jnp.asarray(images)))
    scaled = jnp.asarray(images, jnp.float32) / 255
    np.testing.assert_allclose(vary_images(key, scaled), varied, atol=1e-6)
    assert np.abs(vary_images(getkey(), scaled) - varied).max() > 0.05


def test_one_channel_is_varied_as_well():
    images = jnp.zeros((2, 16, 16, 1), jnp.uint8)
    assert vary_images(jax.random.key(0), images).shape == images.shape
