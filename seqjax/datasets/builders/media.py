"""TFDS builders of images and sound: MNIST and Fashion-MNIST under their stock names, spoken digits, captions."""

import numpy as np
import tensorflow_datasets as tfds

from seqjax.datasets.builders.base import RawBuilder, RawReading, in_file_order
from seqjax.datasets.sets.media import CAPTION_SHAPE


class Mnist(RawReading, tfds.image_classification.MNIST, skip_registration=True):  # pyright: ignore
    """The stock `mnist`, its files read without TensorFlow."""

    name = "mnist"

    def _info(self) -> tfds.core.DatasetInfo:
        return in_file_order(self, super()._info())


class FashionMnist(RawReading, tfds.image_classification.FashionMNIST, skip_registration=True):  # pyright: ignore
    """The stock `fashion_mnist`, its files read without TensorFlow."""

    name = "fashion_mnist"

    def _info(self) -> tfds.core.DatasetInfo:
        return in_file_order(self, super()._info())


class Fsdd(RawBuilder):
    """Spoken digits, 8 kHz."""

    ABOUT = (
        "Free Spoken Digit Dataset: the digits 0 to 9 by six speakers, 8 kHz, 16 bit; "
        "index 0 to 4 is the test split."
    )

    def features(self):
        """The samples, the digit, and who speaks."""
        return {
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16),
            "label": tfds.features.ClassLabel(num_classes=10),
            "speaker": tfds.features.Text(),
            "file": tfds.features.Text(),
        }


class Captions(RawBuilder):
    """Small pictures with one English caption each."""

    ABOUT = "Pictures of 64x64 pixels with captions: Tux Paint stamps (GPL-2), Noto emoji (Apache-2.0, Unicode names)."
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="stamps", description="Tux Paint stamps."),
        tfds.core.BuilderConfig(name="emoji", description="Noto emoji."),
    ]

    def features(self):
        """The picture, its caption, and the name of its file."""
        return {
            "image": tfds.features.Image(shape=CAPTION_SHAPE),
            "caption": tfds.features.Text(),
            "file": tfds.features.Text(),
        }
