"""Work with words: codecs, pairs of sentences, tagged sentences."""

from seqjax.text.pairs import pair_batches as pair_batches
from seqjax.text.pairs import read_pairs as read_pairs
