"""TFDS builders of tagged sentences: the GUM treebank and WNUT 2017."""

import tensorflow_datasets as tfds

from seqjax.datasets.builders.base import RawBuilder


def words() -> tfds.features.FeatureConnector:
    """One string for each token. Tags are text too: a vocabulary numbers them, as it numbers the words."""
    return tfds.features.Sequence(tfds.features.Text())


class Gum(RawBuilder):
    """English sentences of many genres with parts of speech."""

    ABOUT = "UD English GUM (Zeldes, 2017): words with universal (UPOS) and Penn (XPOS) tags, Reddit left out."

    def features(self):
        """Tokens and both of their tags."""
        return {"tokens": words(), "upos": words(), "xpos": words()}


class Wnut17(RawBuilder):
    """English sentences of the web with rare and emerging entities."""

    ABOUT = (
        "WNUT 2017 (Derczynski et al., 2017): named entities in noisy text, six kinds in BIO tags."
    )

    def features(self):
        """Tokens and their BIO tags."""
        return {"tokens": words(), "tags": words()}
