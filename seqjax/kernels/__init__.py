"""The choice among whole-sequence implementations of the cells."""

from typing import get_args

from seqjax.typing import Backend

BACKENDS = get_args(Backend)
