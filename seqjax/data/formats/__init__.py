"""Readers of file formats: each takes a path and gives lists or arrays, or one line that says what is wrong where."""

from seqjax.data.formats.captions import CAPTION_FILES as CAPTION_FILES
from seqjax.data.formats.captions import Caption as Caption
from seqjax.data.formats.captions import read_captions as read_captions
from seqjax.data.formats.conll import Sentence as Sentence
from seqjax.data.formats.conll import read_conll as read_conll
from seqjax.data.formats.conll import read_conllu as read_conllu
from seqjax.data.formats.idx import read_idx as read_idx
from seqjax.data.formats.images import likeness as likeness
from seqjax.data.formats.images import read_image as read_image
from seqjax.data.formats.images import read_picture as read_picture
from seqjax.data.formats.images import squared as squared
from seqjax.data.formats.media import Recording as Recording
from seqjax.data.formats.media import list_recordings as list_recordings
from seqjax.data.formats.media import read_wav as read_wav
from seqjax.data.formats.tables import Table as Table
from seqjax.data.formats.tables import read_csv as read_csv
from seqjax.data.formats.tables import read_table as read_table
from seqjax.data.formats.tables import read_tsv as read_tsv
from seqjax.data.formats.tables import read_wide_series as read_wide_series
from seqjax.data.formats.text import read_aligned as read_aligned
from seqjax.data.formats.text import read_bytes as read_bytes
from seqjax.data.formats.text import read_labelled as read_labelled
from seqjax.data.formats.text import read_lines as read_lines
from seqjax.data.formats.text import read_text as read_text
