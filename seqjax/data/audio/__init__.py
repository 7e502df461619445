"""Sound as arrays: audio files, features of speech, and what makes more of it.

Reading files wants `soundfile` (extra `experiments`), the rest does not. Features and masks are JAX functions, to
be compiled with the model that reads them.
"""

from seqjax.data.audio.augment import change_speed as change_speed
from seqjax.data.audio.augment import spec_augment as spec_augment
from seqjax.data.audio.channel import Channel as Channel
from seqjax.data.audio.channel import coloured_noise as coloured_noise
from seqjax.data.audio.channel import draw_channel as draw_channel
from seqjax.data.audio.ear import BLANK as BLANK
from seqjax.data.audio.ear import Ear as Ear
from seqjax.data.audio.ear import Overheard as Overheard
from seqjax.data.audio.ear import utterance_batches as utterance_batches
from seqjax.data.audio.ear import words_of as words_of
from seqjax.data.audio.features import LogMel as LogMel
from seqjax.data.audio.features import deltas as deltas
from seqjax.data.audio.features import mel_filters as mel_filters
from seqjax.data.audio.features import mfcc as mfcc
from seqjax.data.audio.files import check_audio as check_audio
from seqjax.data.audio.files import read_audio as read_audio
from seqjax.data.audio.files import resample as resample
from seqjax.data.audio.normalisation import Moments as Moments
from seqjax.data.audio.normalisation import Tally as Tally
from seqjax.data.audio.normalisation import add_floor as add_floor
from seqjax.data.audio.normalisation import moments as moments
from seqjax.data.audio.normalisation import normalise as normalise
from seqjax.data.audio.normalisation import normalise_running as normalise_running
from seqjax.data.audio.parts import Part as Part
from seqjax.data.audio.parts import check_room as check_room
from seqjax.data.audio.parts import split_recordings as split_recordings
from seqjax.data.audio.parts import unknown_letters as unknown_letters
from seqjax.data.audio.synthetic import synthetic_words as synthetic_words
from seqjax.data.audio.utterances import DIGITS as DIGITS
from seqjax.data.audio.utterances import SPEEDS as SPEEDS
from seqjax.data.audio.utterances import Clips as Clips
from seqjax.data.audio.utterances import Utterance as Utterance
from seqjax.data.audio.utterances import connect as connect
from seqjax.data.audio.utterances import load_digits as load_digits
from seqjax.data.audio.utterances import read_at as read_at
from seqjax.data.audio.utterances import read_recordings as read_recordings
from seqjax.data.audio.utterances import read_transcripts as read_transcripts
from seqjax.data.audio.utterances import vary as vary
from seqjax.data.audio.utterances import whole as whole
