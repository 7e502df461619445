"""Linear-chain conditional random fields (Lafferty, McCallum and Pereira, 2001), in log space.

A tag sequence y of a row with n valid steps scores

    s(y) = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1] + end[y_n]

and has the probability `exp(s(y) - log Z)`, where Z sums `exp(s)` over all sequences. Every
function takes these four arrays in this order, so that `Scores`, what `seqjax.models.Tagger`
returns, unpacks into them:

    >>> import jax, seqjax
    >>> from seqjax.losses import crf
    >>> zeros = jax.numpy.zeros
    >>> scores = crf.Scores(jax.numpy.ones((2, 5, 3)), zeros((3, 3)), zeros(3), zeros(3))
    >>> crf.log_partition(*scores, lengths=jax.numpy.array([5, 2])).shape
    (2,)

A row of length 0 has one sequence, the empty one, with score 0. Scores of minus infinity forbid;
they are raised to `FORBIDDEN`, so that every gradient stays finite. Sequences with such an entry
are in no sum and are found by no search; `log_likelihood` of given tags that are forbidden is
finite all the same, see there, and `forbidden` counts them.
"""

from seqjax.losses.crf.chain import FORBIDDEN as FORBIDDEN
from seqjax.losses.crf.chain import Scores as Scores
from seqjax.losses.crf.constraints import SCHEMES as SCHEMES
from seqjax.losses.crf.constraints import Constraints as Constraints
from seqjax.losses.crf.constraints import bilou_constraints as bilou_constraints
from seqjax.losses.crf.constraints import bio_constraints as bio_constraints
from seqjax.losses.crf.constraints import bioes_constraints as bioes_constraints
from seqjax.losses.crf.constraints import bmes_constraints as bmes_constraints
from seqjax.losses.crf.constraints import bmewo_constraints as bmewo_constraints
from seqjax.losses.crf.constraints import constrain as constrain
from seqjax.losses.crf.constraints import in_bioes as in_bioes
from seqjax.losses.crf.constraints import scheme_of as scheme_of
from seqjax.losses.crf.decoding import Paths as Paths
from seqjax.losses.crf.decoding import kbest as kbest
from seqjax.losses.crf.decoding import viterbi as viterbi
from seqjax.losses.crf.inference import forbidden as forbidden
from seqjax.losses.crf.inference import log_likelihood as log_likelihood
from seqjax.losses.crf.inference import log_partition as log_partition
from seqjax.losses.crf.inference import marginals as marginals
from seqjax.losses.crf.inference import path_score as path_score
