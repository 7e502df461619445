"""Tagged sentences: parts of speech of English and Turkish, and named entities."""

from pathlib import Path

from seqjax.datasets.download import GITHUB, remotes_at
from seqjax.datasets.entry import DataSet, Package
from seqjax.datasets.features import Words
from seqjax.files import read_conll, read_conllu

GUM_URL = f"{GITHUB}UniversalDependencies/UD_English-GUM/r2.10/en_gum-ud-"
WNUT17_URL = f"{GITHUB}leondz/emerging_entities_17/a12ed2349a0b1916b6389a4ecc2e2ddb737e51f8/"

# The sums that TFDS records for release 2.10 of Universal Dependencies.
GUM_SHA256 = {
    "train.conllu": "5f2f26c2a9e9eceda594abdf54230dc792062ca7a006b6e6cb2b6b21bbc19a6c",
    "dev.conllu": "1a8b4f27393328ace065fe063f57e3e4cd16b9ec18c6987775df4467120eca7d",
    "test.conllu": "52b8b8d28aba1b0026bbe7574dd77d3676a5793558c982570a58ad2545b9bbe0",
}
# Taken from the public files; that of the test set from a public project.
WNUT17_SHA256 = {
    "wnut17train.conll": "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    "emerging.dev.conll": "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    "emerging.test.annotated": "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
}

TREEBANK_PLACES = {"train": range(8), "validation": (8,), "test": (9,)}
"""The Turkish treebank's own rule: of ten sentences the ninth validates and the tenth tests."""


def _gum(path: Path, split: str) -> dict:
    # The public files hold underscores in place of the words of Reddit, whose text may not be
    # handed on.
    sentences = [
        sentence
        for sentence in read_conllu(path)
        if not sentence.comments.get("sent_id", "").startswith("GUM_reddit")
    ]
    return {
        "tokens": [sentence.form for sentence in sentences],
        "upos": [sentence.upos for sentence in sentences],
        "xpos": [sentence.xpos for sentence in sentences],
    }


def _wnut17(path: Path, split: str) -> dict:
    return read_conll(path, ("tokens", "tags"))


def _turkish_treebank(folder: Path, split: str) -> dict:
    chosen = []
    for section in ("web", "wiki"):
        # The wheel puts its treebanks beside the module's folder, not into it.
        sentences = read_conllu(folder.parent / "data" / f"{section}.conllu")
        for place, sentence in enumerate(sentences):
            if place % 10 in TREEBANK_PLACES[split]:
                chosen.append(sentence)
    return {
        "tokens": [sentence.form for sentence in chosen],
        "upos": [sentence.upos for sentence in chosen],
        "xpos": [sentence.xpos for sentence in chosen],
    }


ENTRIES = (
    DataSet(
        name="gum",
        description=(
            "UD English GUM (Zeldes, 2017): words with universal (UPOS) and Penn (XPOS) tags, "
            "Reddit left out."
        ),
        features={"tokens": Words(), "upos": Words(), "xpos": Words()},
        splits={
            "train": ("train.conllu",),
            "validation": ("dev.conllu",),
            "test": ("test.conllu",),
        },
        reader=_gum,
        remotes=remotes_at(GUM_URL, GUM_SHA256),
    ),
    DataSet(
        name="turkish_treebank",
        description=(
            "Turkish sentences of the web and of Wikipedia: words with universal (UPOS) and "
            "language-specific (XPOS) tags."
        ),
        features={"tokens": Words(), "upos": Words(), "xpos": Words()},
        splits=dict.fromkeys(TREEBANK_PLACES, ()),
        package=Package("turkish-treebanks", "turkish_treebanks", _turkish_treebank),
    ),
    DataSet(
        name="wnut17",
        description=(
            "WNUT 2017 (Derczynski et al., 2017): named entities in noisy text, "
            "six kinds in BIO tags."
        ),
        features={"tokens": Words(), "tags": Words()},
        splits={
            "train": ("wnut17train.conll",),
            "validation": ("emerging.dev.conll",),
            "test": ("emerging.test.annotated",),
        },
        reader=_wnut17,
        remotes=remotes_at(WNUT17_URL, WNUT17_SHA256),
    ),
)
