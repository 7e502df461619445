"""TFDS builders of text: Tiny Shakespeare under its stock name, Multi30k, and SST-2."""

import tensorflow_datasets as tfds

from seqjax.datasets.builders.base import RawBuilder, RawReading, raw_folder
from seqjax.datasets.sets.raw import path_of
from seqjax.datasets.sets.text import LANGUAGES
from seqjax.files import read_text


class TinyShakespeare(RawReading, tfds.builder_cls("tiny_shakespeare"), skip_registration=True):  # pyright: ignore
    """The stock builder with its splits (90, 5 and 5 per cent of the characters), its file read without TensorFlow."""

    name = "tiny_shakespeare"

    def _split_generators(self, dl_manager):
        folder = raw_folder(self.raw, dl_manager)
        text = read_text(path_of(folder, "input.txt"))
        train = int(len(text) * 0.9)
        validation = train + int((len(text) - train) * 0.5)
        parts = {
            "train": text[:train],
            "validation": text[train:validation],
            "test": text[validation:],
        }
        return {split: iter([(split, {"text": part})]) for split, part in parts.items()}


class Multi30k(RawBuilder):
    """Captions of Flickr images in three languages."""

    ABOUT = "Multi30k (Elliott et al., 2016): image captions in German, English and French, raw text, aligned by line."

    def features(self):
        """One sentence in each language."""
        return {language: tfds.features.Text() for language in LANGUAGES}


class Sst2(RawBuilder):
    """Sentences of film reviews, good or bad."""

    ABOUT = "Stanford Sentiment Treebank (Socher et al., 2013), whole sentences, two classes, tokenised and lower case."

    def features(self):
        """A sentence and its label: 0 negative, 1 positive."""
        return {
            "label": tfds.features.ClassLabel(names=["negative", "positive"]),
            "sentence": tfds.features.Text(),
        }
