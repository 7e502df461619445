"""Score outputs: texts beside references, words said beside words heard."""

from seqjax.metrics.classes import Labels as Labels
from seqjax.metrics.classes import Marked as Marked
from seqjax.metrics.classes import as_tsv as as_tsv
from seqjax.metrics.classes import mark as mark
from seqjax.metrics.classes import place as place
from seqjax.metrics.classes import plain as plain
from seqjax.metrics.classes import write_answers as write_answers
from seqjax.metrics.texts import bleu as bleu
from seqjax.metrics.texts import text_scores as text_scores
from seqjax.metrics.words import word_errors as word_errors
from seqjax.metrics.words import word_pairs as word_pairs
