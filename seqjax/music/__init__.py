"""Work with music: piano rolls of MIDI and MATLAB files, a composer, what it writes as sound and pictures."""

from seqjax.music.composer import Composer as Composer
from seqjax.music.notes import as_rolls as as_rolls
from seqjax.music.notes import moved as moved
from seqjax.music.notes import notes_of as notes_of
from seqjax.music.notes import polyphony as polyphony
from seqjax.music.notes import roll_of as roll_of
from seqjax.music.pictures import draw_prediction as draw_prediction
from seqjax.music.pictures import draw_rolls as draw_rolls
from seqjax.music.pieces import CORPORA as CORPORA
from seqjax.music.pieces import Pieces as Pieces
from seqjax.music.pieces import load_pieces as load_pieces
from seqjax.music.pieces import read_pieces as read_pieces
from seqjax.music.scoring import Scored as Scored
from seqjax.music.sound import check_form as check_form
from seqjax.music.sound import play as play
from seqjax.music.sound import write_piece as write_piece
from seqjax.music.stream import MusicStream as MusicStream
