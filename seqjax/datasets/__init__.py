"""Find public data sets: published files, prepared TFDS sets, a download, an installed package.

TFDS is imported by the first call that needs it; its builder stands in `seqjax.datasets.builder`.
"""

from seqjax.datasets.sources import DataUnavailable as DataUnavailable
from seqjax.datasets.sources import Loaded as Loaded
from seqjax.datasets.sources import catalogue as catalogue
from seqjax.datasets.sources import load as load
