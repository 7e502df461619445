"""Turn examples into batches: vocabularies, windows, length buckets, padding, prefetch, exact positions.

Nothing heavy is imported before it is used: tokenizers comes with the first call that needs it.
"""

from seqjax.data.batching import BucketBatches as BucketBatches
from seqjax.data.batching import IndexBatch as IndexBatch
from seqjax.data.batching import bucket_boundaries as bucket_boundaries
from seqjax.data.batching import rows_of_batch as rows_of_batch
from seqjax.data.batching import serving_batches as serving_batches
from seqjax.data.bpe import BPE as BPE
from seqjax.data.fingerprint import fingerprint as fingerprint
from seqjax.data.padding import PaddingReport as PaddingReport
from seqjax.data.padding import pad_batch as pad_batch
from seqjax.data.padding import padding_report as padding_report
from seqjax.data.prefetch import Prefetch as Prefetch
from seqjax.data.prefetch import prefetch as prefetch
from seqjax.data.records import Records as Records
from seqjax.data.segments import Segments as Segments
from seqjax.data.segments import segments as segments
from seqjax.data.stream import BatchIterator as BatchIterator
from seqjax.data.stream import Mapped as Mapped
from seqjax.data.stream import batches as batches
from seqjax.data.stream import mapped as mapped
from seqjax.data.vocabulary import SPECIALS as SPECIALS
from seqjax.data.vocabulary import Vocabulary as Vocabulary
from seqjax.data.windows import Contiguous as Contiguous
from seqjax.data.windows import SeriesWindows as SeriesWindows
from seqjax.data.windows import Windows as Windows
from seqjax.data.windows import contiguous as contiguous
from seqjax.data.windows import series_windows as series_windows
