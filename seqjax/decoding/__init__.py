"""From scores to sequences: pure functions over a model's step."""

from seqjax.decoding import ctc as ctc
from seqjax.decoding.beam import Beams as Beams
from seqjax.decoding.beam import beam_search as beam_search
from seqjax.decoding.constraints import BanTokens as BanTokens
from seqjax.decoding.constraints import BlockNgrams as BlockNgrams
from seqjax.decoding.constraints import ForcePrefix as ForcePrefix
from seqjax.decoding.constraints import MaxLength as MaxLength
from seqjax.decoding.constraints import MinLength as MinLength
from seqjax.decoding.ensemble import Ensemble as Ensemble
from seqjax.decoding.ensemble import mean_log_probs as mean_log_probs
from seqjax.decoding.keys import draw_keys as draw_keys
from seqjax.decoding.penalties import CoveragePenalty as CoveragePenalty
from seqjax.decoding.penalties import LengthPenalty as LengthPenalty
from seqjax.decoding.penalties import Penalty as Penalty
from seqjax.decoding.sampling import Samples as Samples
from seqjax.decoding.sampling import sample as sample
from seqjax.decoding.sampling import sample_logits as sample_logits
from seqjax.decoding.writing import Writer as Writer
from seqjax.decoding.writing import Written as Written
