"""Work with sound: features, front ends, utterances, recognisers.

Reading files needs `soundfile` (extra `experiments`). Features and masks are JAX functions, to be
compiled with the model that reads them.
"""

from seqjax.speech.augment import change_speed as change_speed
from seqjax.speech.augment import spec_augment as spec_augment
from seqjax.speech.augmentation import Augmentation as Augmentation
from seqjax.speech.channel import Channel as Channel
from seqjax.speech.channel import coloured_noise as coloured_noise
from seqjax.speech.channel import draw_channel as draw_channel
from seqjax.speech.decoder import Decoder as Decoder
from seqjax.speech.features import LogMel as LogMel
from seqjax.speech.features import deltas as deltas
from seqjax.speech.features import mel_filters as mel_filters
from seqjax.speech.features import mfcc as mfcc
from seqjax.speech.front_end import FrontEnd as FrontEnd
from seqjax.speech.front_end import FrontEndState as FrontEndState
from seqjax.speech.letters import BLANK as BLANK
from seqjax.speech.letters import LetterCodec as LetterCodec
from seqjax.speech.letters import LetterModel as LetterModel
from seqjax.speech.letters import Word as Word
from seqjax.speech.letters import words_of as words_of
from seqjax.speech.normalisation import Moments as Moments
from seqjax.speech.normalisation import RunningMean as RunningMean
from seqjax.speech.normalisation import add_floor as add_floor
from seqjax.speech.normalisation import moments as moments
from seqjax.speech.normalisation import normalise as normalise
from seqjax.speech.normalisation import normalise_running as normalise_running
from seqjax.speech.parts import Part as Part
from seqjax.speech.parts import check_room as check_room
from seqjax.speech.parts import connected_parts as connected_parts
from seqjax.speech.parts import read_corpus as read_corpus
from seqjax.speech.parts import split_recordings as split_recordings
from seqjax.speech.parts import unknown_letters as unknown_letters
from seqjax.speech.playing import Played as Played
from seqjax.speech.playing import play as play
from seqjax.speech.playing import tell_delays as tell_delays
from seqjax.speech.recogniser import Recogniser as Recogniser
from seqjax.speech.stream import Heard as Heard
from seqjax.speech.stream import Stream as Stream
from seqjax.speech.stream import StreamState as StreamState
from seqjax.speech.synthetic import synthetic_digits as synthetic_digits
from seqjax.speech.synthetic import synthetic_words as synthetic_words
from seqjax.speech.utterances import DIGITS as DIGITS
from seqjax.speech.utterances import SPEEDS as SPEEDS
from seqjax.speech.utterances import Clips as Clips
from seqjax.speech.utterances import Utterance as Utterance
from seqjax.speech.utterances import connect as connect
from seqjax.speech.utterances import half_varied as half_varied
from seqjax.speech.utterances import load_digits as load_digits
from seqjax.speech.utterances import read_at as read_at
from seqjax.speech.utterances import read_recordings as read_recordings
from seqjax.speech.utterances import read_transcripts as read_transcripts
from seqjax.speech.utterances import vary as vary
from seqjax.speech.utterances import whole as whole
