"""Work with words: tasks, codecs, pairs of sentences, tagged sentences."""

from seqjax.text.codecs import Characters as Characters
from seqjax.text.codecs import Codec as Codec
from seqjax.text.codecs import Subwords as Subwords
from seqjax.text.codecs import Symbols as Symbols
from seqjax.text.codecs import Words as Words
from seqjax.text.networks import CTC as CTC
from seqjax.text.networks import EncoderDecoder as EncoderDecoder
from seqjax.text.networks import LinearSampling as LinearSampling
from seqjax.text.pairs import Pairs as Pairs
from seqjax.text.pairs import pair_batches as pair_batches
from seqjax.text.pairs import read_pairs as read_pairs
from seqjax.text.pronunciations import Pronunciations as Pronunciations
from seqjax.text.pronunciations import read_pronunciations as read_pronunciations
from seqjax.text.scorers import Bleu as Bleu
from seqjax.text.scorers import EditRate as EditRate
from seqjax.text.scorers import Exact as Exact
from seqjax.text.tagged import TaggedSentences as TaggedSentences
from seqjax.text.tagged import load_tagged as load_tagged
from seqjax.text.tagged import read_tagged as read_tagged
from seqjax.text.tagger import WordTagger as WordTagger
from seqjax.text.translator import Translation as Translation
from seqjax.text.translator import Translator as Translator
