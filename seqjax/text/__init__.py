"""Work with words: tasks, codecs, pairs of sentences, tagged sentences, labelled texts."""

from seqjax.text import codecs as codecs
from seqjax.text.classifier import Classifier as Classifier
from seqjax.text.corpora import Corpus as Corpus
from seqjax.text.corpora import load_corpus as load_corpus
from seqjax.text.corpora import read_corpus as read_corpus
from seqjax.text.labelled import LabelledTexts as LabelledTexts
from seqjax.text.labelled import load_labelled as load_labelled
from seqjax.text.labelled import read_labelled as read_labelled
from seqjax.text.language_model import LanguageModel as LanguageModel
from seqjax.text.pairs import pair_batches as pair_batches
from seqjax.text.pairs import read_pairs as read_pairs
from seqjax.text.streams import TextStream as TextStream
from seqjax.text.tagged import TaggedSentences as TaggedSentences
from seqjax.text.tagged import load_tagged as load_tagged
from seqjax.text.tagged import read_tagged as read_tagged
from seqjax.text.tagger import WordTagger as WordTagger
from seqjax.text.texts import Texts as Texts
