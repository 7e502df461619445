"""Losses: pure functions, each a sum over valid elements divided by their number."""

from seqjax.losses import crf as crf
from seqjax.losses import likelihoods as likelihoods
from seqjax.losses.attention import coverage_loss as coverage_loss
from seqjax.losses.attention import doubly_stochastic as doubly_stochastic
from seqjax.losses.cross_entropy import cross_entropy as cross_entropy
from seqjax.losses.ctc import ctc as ctc
from seqjax.losses.ctc import ctc_frames as ctc_frames
from seqjax.losses.ctc import focal as focal
from seqjax.losses.ctc import uniform_cross_entropy as uniform_cross_entropy
from seqjax.losses.keys import keys_log_prob as keys_log_prob
from seqjax.losses.keys import nade_logits as nade_logits
from seqjax.losses.masked import length_mask as length_mask
from seqjax.losses.masked import masked_mean as masked_mean
from seqjax.losses.penalties import activation_penalty as activation_penalty
from seqjax.losses.penalties import change_penalty as change_penalty
