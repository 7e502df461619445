"""Flax modules: the shell around a recurrence, and one network for each task."""

from seqjax.models.acoustic import AcousticModel as AcousticModel
from seqjax.models.acoustic import AcousticState as AcousticState
from seqjax.models.acoustic import Emissions as Emissions
from seqjax.models.attention import Attention as Attention
from seqjax.models.bridge import ProjectedState as ProjectedState
from seqjax.models.captioner import Captioner as Captioner
from seqjax.models.captioner import ConvGrid as ConvGrid
from seqjax.models.captioner import ImageEncoder as ImageEncoder
from seqjax.models.classifier import Attended as Attended
from seqjax.models.classifier import SequenceClassifier as SequenceClassifier
from seqjax.models.copying import Copying as Copying
from seqjax.models.decoder import Decoded as Decoded
from seqjax.models.decoder import Decoder as Decoder
from seqjax.models.decoder import DecoderState as DecoderState
from seqjax.models.decoder import Memory as Memory
from seqjax.models.embedding import TokenEmbedding as TokenEmbedding
from seqjax.models.framewise import Framewise as Framewise
from seqjax.models.framewise import FramewiseWriter as FramewiseWriter
from seqjax.models.framewise import framewise_loss as framewise_loss
from seqjax.models.framewise import framewise_nats as framewise_nats
from seqjax.models.language_model import LanguageModel as LanguageModel
from seqjax.models.recurrent import Recurrent as Recurrent
from seqjax.models.seq2seq import Encoded as Encoded
from seqjax.models.seq2seq import Encoder as Encoder
from seqjax.models.seq2seq import Seq2Seq as Seq2Seq
from seqjax.models.tagger import Tagger as Tagger
