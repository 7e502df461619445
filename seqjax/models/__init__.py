"""Flax modules: the shell around a recurrence, and one model for each task."""

from seqjax.models.classifier import Attended as Attended
from seqjax.models.classifier import SequenceClassifier as SequenceClassifier
from seqjax.models.embedding import TokenEmbedding as TokenEmbedding
from seqjax.models.language_model import LanguageModel as LanguageModel
from seqjax.models.recurrent import Recurrent as Recurrent
from seqjax.models.tagger import Tagger as Tagger
