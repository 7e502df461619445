"""From frames to text under connectionist temporal classification: greedy, by beam, and forced alignment."""

from seqjax.decoding.ctc.align import Alignment as Alignment
from seqjax.decoding.ctc.align import align as align
from seqjax.decoding.ctc.automata import Automaton as Automaton
from seqjax.decoding.ctc.beam import Prefixes as Prefixes
from seqjax.decoding.ctc.beam import beam as beam
from seqjax.decoding.ctc.greedy import Decoded as Decoded
from seqjax.decoding.ctc.greedy import greedy as greedy
