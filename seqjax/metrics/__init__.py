"""Score outputs: texts beside references, words said beside words heard."""

from seqjax.metrics.texts import bleu as bleu
from seqjax.metrics.texts import text_scores as text_scores
from seqjax.metrics.words import word_errors as word_errors
from seqjax.metrics.words import word_pairs as word_pairs
