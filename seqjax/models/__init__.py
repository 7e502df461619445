"""Flax modules: the shell around a recurrence, and one model for each task."""

from seqjax.models.language_model import LanguageModel as LanguageModel
from seqjax.models.recurrent import Recurrent as Recurrent
