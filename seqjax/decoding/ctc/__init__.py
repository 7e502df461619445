"""From frames to text under CTC: greedy search, beam search and forced alignment."""

from seqjax.decoding.ctc.align import Alignment as Alignment
from seqjax.decoding.ctc.align import align as align
from seqjax.decoding.ctc.automata import Automaton as Automaton
from seqjax.decoding.ctc.beam import Prefixes as Prefixes
from seqjax.decoding.ctc.beam import beam as beam
from seqjax.decoding.ctc.builders import from_symbols as from_symbols
from seqjax.decoding.ctc.builders import from_words as from_words
from seqjax.decoding.ctc.builders import hot_words as hot_words
from seqjax.decoding.ctc.builders import joined as joined
from seqjax.decoding.ctc.builders import weighted as weighted
from seqjax.decoding.ctc.ensemble import ensemble as ensemble
from seqjax.decoding.ctc.greedy import Decoded as Decoded
from seqjax.decoding.ctc.greedy import greedy as greedy
from seqjax.decoding.ctc.ngrams import NGrams as NGrams
from seqjax.decoding.ctc.ngrams import arpa_text as arpa_text
from seqjax.decoding.ctc.ngrams import parse_arpa as parse_arpa
from seqjax.decoding.ctc.ngrams import read_arpa as read_arpa
from seqjax.decoding.ctc.ngrams import train_ngrams as train_ngrams
from seqjax.decoding.ctc.ngrams import write_arpa as write_arpa
