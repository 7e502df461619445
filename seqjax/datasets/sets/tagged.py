"""Tagged sentences: parts of speech of the GUM treebank, and named entities of WNUT 2017."""

from pathlib import Path

from seqjax.datasets.download import Remote
from seqjax.datasets.sets.raw import RawSet, path_of
from seqjax.files import read_conll, read_conllu

GUM_URL = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-GUM/r2.10/en_gum-ud-"
WNUT17_URL = "https://raw.githubusercontent.com/leondz/emerging_entities_17/a12ed2349a0b1916b6389a4ecc2e2ddb737e51f8/"

GUM_FILES = {"train": "train.conllu", "validation": "dev.conllu", "test": "test.conllu"}
WNUT17_FILES = {
    "train": "wnut17train.conll",
    "validation": "emerging.dev.conll",
    "test": "emerging.test.annotated",
}

# The sums that TFDS records for release 2.10 of Universal Dependencies.
GUM_SHA256 = {
    "train": "5f2f26c2a9e9eceda594abdf54230dc792062ca7a006b6e6cb2b6b21bbc19a6c",
    "validation": "1a8b4f27393328ace065fe063f57e3e4cd16b9ec18c6987775df4467120eca7d",
    "test": "52b8b8d28aba1b0026bbe7574dd77d3676a5793558c982570a58ad2545b9bbe0",
}

# Taken of the public files; that of the test set from a public project.
WNUT17_SHA256 = {
    "train": "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    "validation": "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    "test": "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
}


def _gum(folder: Path, split: str) -> dict:
    # The public files hold underscores in place of the words of Reddit, whose text may not be
    # handed on.
    sentences = [
        sentence
        for sentence in read_conllu(path_of(folder, GUM_FILES[split]))
        if not sentence.comments.get("sent_id", "").startswith("GUM_reddit")
    ]
    return {
        "tokens": [sentence.form for sentence in sentences],
        "upos": [sentence.upos for sentence in sentences],
        "xpos": [sentence.xpos for sentence in sentences],
    }


def _wnut17(folder: Path, split: str) -> dict:
    return read_conll(path_of(folder, WNUT17_FILES[split]), ("tokens", "tags"))


GUM = RawSet(
    name="gum",
    folder="gum",
    files={split: (name,) for split, name in GUM_FILES.items()},
    reader=_gum,
    remotes=tuple(
        Remote(GUM_URL + name, name, GUM_SHA256[split]) for split, name in GUM_FILES.items()
    ),
)

WNUT17 = RawSet(
    name="wnut17",
    folder="wnut17",
    files={split: (name,) for split, name in WNUT17_FILES.items()},
    reader=_wnut17,
    remotes=tuple(
        Remote(WNUT17_URL + name, name, WNUT17_SHA256[split])
        for split, name in WNUT17_FILES.items()
    ),
)
