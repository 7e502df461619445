"""Tagged sentences: parts of speech of English and Turkish, named entities, chunks, requests with their slots."""

from pathlib import Path

from seqjax.datasets.download import GITHUB, Remote, remotes_at
from seqjax.datasets.entry import DataSet, Package
from seqjax.datasets.features import Text, Words
from seqjax.files import read_conll, read_conllu, read_requests

GUM_URL = f"{GITHUB}UniversalDependencies/UD_English-GUM/r2.10/en_gum-ud-"
WNUT17_URL = f"{GITHUB}leondz/emerging_entities_17/a12ed2349a0b1916b6389a4ecc2e2ddb737e51f8/"
CONLL2000_URL = f"{GITHUB}teropa/nlp/master/resources/corpora/conll2000/"
REQUESTS_URL = f"{GITHUB}MiuLab/SlotGated-SLU/master/data/"

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
# Public projects agree on both.
CONLL2000_SHA256 = {
    "train.txt": "82033cd7a72b209923a98007793e8f9de3abc1c8b79d646c50648eb949b87cea",
    "test.txt": "73b7b1e565fa75a1e22fe52ecdf41b6624d6f59dacb591d44252bf4d692b1628",
}
# Taken from the public files; that of the test set of SNIPS is not recorded.
REQUESTS_SHA256 = {
    "atis/train/seq.in": "3a670980841b21ab39088b2595efc17d487cdc45769c075a3e5f9458bba28c7f",
    "atis/train/seq.out": "14c7131bd66562f797dbd7189bc7358f0cf354c6afb0785a9ab973c35b58f34c",
    "atis/train/label": "d0a771547665eecbdf9f96ea015ef07d1f6ee9f063e861020dafabb3c2a04377",
    "atis/valid/seq.in": "c7435b96e7948393608c34819628e863c5338f11ca68e8f896d2cc041d8e17f8",
    "atis/valid/seq.out": "83ccff3e36f83a993f8e5b5b82adf3256076f234abda4d784051381d7ac76922",
    "atis/valid/label": "07d1dd89e7e1dc77354bf30d0499d5838571e7078f73d1afa1c003b47a62e36b",
    "atis/test/seq.in": "4b2119fc59c37f9398c6605db435d4f467505009e6ee3e5af04fed09f39dc397",
    "atis/test/seq.out": "a4690d6bceadc06876d1ff99bc401744aa981cb321e598ae12a3859d7be53254",
    "atis/test/label": "b53cae880f7f51220862bdbdf3a1c8ee3d0fa3e052f9b55c0df8f04345748ad1",
    "snips/train/seq.in": "be69c58bde5f813f089a52782b470d1345b9eb27492807bc4cac3a1e2b1dc548",
    "snips/train/seq.out": "fd5f2121d8055827e5d6b3d3bac30f3d7e94e82a5d437751960cbdd9e1b4f6d3",
    "snips/train/label": "bfd7df6cf9dd76c5da5d8b61bc85f90386197bdd3d7510c1d324c051537b962f",
    "snips/valid/seq.in": "198fce6caefcce9d5595fb5f01194ccd06db68a80e85b2acbac729fd7b9ecde0",
    "snips/valid/seq.out": "712e6d34feb8d52d208b820a5f8bae6e6ff990f08374507dfde22de389088319",
    "snips/valid/label": "9c1dd041216f647bcfca838aaf1a48eb5781e4404256d31ff07cd38a5436c52f",
}
REQUEST_FILES = ("seq.in", "seq.out", "label")

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


def _conll2000(path: Path, split: str) -> dict:
    columns = read_conll(path, ("tokens", "pos", "tags"), None)
    # The task has no part to validate on; it is the last tenth of the training sentences.
    boundary = len(columns["tokens"]) * 9 // 10
    chosen = {
        "train": slice(boundary),
        "validation": slice(boundary, None),
        "test": slice(None),
    }[split]
    return {name: sentences[chosen] for name, sentences in columns.items()}


def _requests(words: Path, slots: Path, intents: Path, split: str) -> dict:
    return read_requests(words, slots, intents)


def _requests_of(name: str, description: str) -> DataSet:
    """Makes the entry of a corpus of requests, three files in a folder for each split."""
    folders = {"train": "train", "validation": "valid", "test": "test"}
    files = [f"{folder}/{file}" for folder in folders.values() for file in REQUEST_FILES]
    return DataSet(
        name=name,
        description=description,
        features={"tokens": Words(), "tags": Words(), "intent": Text()},
        splits={
            split: tuple(f"{folder}/{file}" for file in REQUEST_FILES)
            for split, folder in folders.items()
        },
        reader=_requests,
        remotes=tuple(
            Remote(f"{REQUESTS_URL}{name}/{file}", file, REQUESTS_SHA256.get(f"{name}/{file}"))
            for file in files
        ),
    )


ENTRIES = (
    _requests_of(
        "atis",
        "ATIS (Hemphill et al., 1990; the split of Goo et al., 2018): questions about flights, "
        "an intent each, slots in BIO tags.",
    ),
    _requests_of(
        "snips",
        "SNIPS (Coucke et al., 2018): requests to an assistant, an intent each, slots in BIO tags.",
    ),
    DataSet(
        name="conll2000",
        description=(
            "CoNLL-2000 (Tjong Kim Sang and Buchholz): sentences of the Wall Street Journal with "
            "parts of speech and chunks in BIO tags; the last tenth of train validates."
        ),
        features={"tokens": Words(), "pos": Words(), "tags": Words()},
        splits={"train": ("train.txt",), "validation": ("train.txt",), "test": ("test.txt",)},
        reader=_conll2000,
        remotes=remotes_at(CONLL2000_URL, CONLL2000_SHA256),
    ),
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
