"""The public data sets that `seqjax.datasets.load` knows, by theme.

A new one is an entry in one of these files.
"""

from seqjax.datasets.entry import DataSet
from seqjax.datasets.registry import media, music, series, sounds, tagged, text

_ENTRIES = (
    *text.ENTRIES,
    *sounds.ENTRIES,
    *tagged.ENTRIES,
    *media.ENTRIES,
    *music.ENTRIES,
    *series.ENTRIES,
)

REGISTRY: dict[str, DataSet] = {entry.name: entry for entry in _ENTRIES}
"""Name to data set."""
