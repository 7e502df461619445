"""Data: vocabularies, windows, batches of few shapes, streams that resume, and public data sets.

Nothing heavy is imported before it is used: tensorflow-datasets, grain and tokenizers come with the first call that
needs them.
"""

from seqjax.data import formats as formats
from seqjax.data.batching import BucketBatches as BucketBatches
from seqjax.data.batching import IndexBatch as IndexBatch
from seqjax.data.batching import bucket_boundaries as bucket_boundaries
from seqjax.data.bpe import BPE as BPE
from seqjax.data.calendar import calendar_features as calendar_features
from seqjax.data.calendar import lags as lags
from seqjax.data.calendar import seasons as seasons
from seqjax.data.padding import PaddingReport as PaddingReport
from seqjax.data.padding import pad_batch as pad_batch
from seqjax.data.padding import padding_report as padding_report
from seqjax.data.pairs import pair_batches as pair_batches
from seqjax.data.pairs import read_pairs as read_pairs
from seqjax.data.panel import Panel as Panel
from seqjax.data.panel_files import read_panel as read_panel
from seqjax.data.panel_sets import PANELS as PANELS
from seqjax.data.panel_sets import LoadedPanel as LoadedPanel
from seqjax.data.panel_sets import load_panel as load_panel
from seqjax.data.panel_times import parse_time as parse_time
from seqjax.data.panel_windows import PanelWindows as PanelWindows
from seqjax.data.panel_windows import scales as scales
from seqjax.data.prefetch import Prefetch as Prefetch
from seqjax.data.prefetch import prefetch as prefetch
from seqjax.data.records import Records as Records
from seqjax.data.sources import DataUnavailable as DataUnavailable
from seqjax.data.sources import Loaded as Loaded
from seqjax.data.sources import catalogue as catalogue
from seqjax.data.sources import load as load
from seqjax.data.stream import BatchIterator as BatchIterator
from seqjax.data.stream import batches as batches
from seqjax.data.stream import mapped as mapped
from seqjax.data.vocabulary import SPECIALS as SPECIALS
from seqjax.data.vocabulary import Vocabulary as Vocabulary
from seqjax.data.windows import Contiguous as Contiguous
from seqjax.data.windows import SeriesWindows as SeriesWindows
from seqjax.data.windows import Windows as Windows
from seqjax.data.windows import contiguous as contiguous
from seqjax.data.windows import series_windows as series_windows
