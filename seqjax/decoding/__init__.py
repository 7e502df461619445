"""From scores to sequences: pure functions over a model's step."""

from seqjax.decoding.sampling import Samples as Samples
from seqjax.decoding.sampling import sample as sample
from seqjax.decoding.sampling import sample_logits as sample_logits
