"""TFDS builders of time series: electricity transformers (ETT), and the hourly series of M4."""

import numpy as np
import tensorflow_datasets as tfds

from seqjax.datasets.builders.base import RawBuilder

CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


def values() -> tfds.features.FeatureConnector:
    """A series of any length, float64."""
    # As bytes, because the lists of numbers of a TFDS example hold float32 alone.
    return tfds.features.Tensor(shape=(None,), dtype=np.float64, encoding="bytes")


class Ett(RawBuilder):
    """Hourly loads and oil temperature of an electricity transformer; one record holds a split."""

    ABOUT = "ETT (Zhou et al., 2021): six power loads and the oil temperature (OT) of a transformer, hourly, two years."
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="h1", description="The first station."),
        tfds.core.BuilderConfig(name="h2", description="The second station."),
    ]

    def features(self):
        """The dates, and seven series as long."""
        return {
            "date": tfds.features.Sequence(tfds.features.Text()),
            **{channel: values() for channel in CHANNELS},
        }


class M4Hourly(RawBuilder):
    """The hourly series of the M4 competition; the test split holds the 48 hours after each training series."""

    ABOUT = "M4 (Makridakis et al., 2020): 414 hourly series of 700 or 960 hours, to be forecast for 48 more."

    def features(self):
        """The series' identifier and its values."""
        return {"id": tfds.features.Text(), "values": values()}
