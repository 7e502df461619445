"""The public data sets that `seqjax.datasets.load` knows by their files."""

from seqjax.datasets.sets.media import FASHION_MNIST, FSDD, MNIST, captions
from seqjax.datasets.sets.raw import RawSet
from seqjax.datasets.sets.series import M4_HOURLY, ett
from seqjax.datasets.sets.tagged import GUM, WNUT17
from seqjax.datasets.sets.text import MULTI30K, SST2, TINY_SHAKESPEARE

_ALL = (
    TINY_SHAKESPEARE,
    MNIST,
    FASHION_MNIST,
    MULTI30K,
    FSDD,
    GUM,
    WNUT17,
    SST2,
    M4_HOURLY,
    ett("h1"),
    ett("h2"),
    captions("stamps"),
    captions("emoji"),
)

SETS: dict[str, RawSet] = {raw.name: raw for raw in _ALL}
"""Name to data set, for every set that is read from files of its own."""
