"""What the tests of the kernels share."""

import platform

import pytest

from seqjax import kernels
from tests.kernels.sets import using

SETS = ["baseline", "avx512-bf16", "amx"] if platform.machine() == "x86_64" else ["neon"]


@pytest.fixture(params=SETS)
def instructions(request, monkeypatch):
    """Has an instruction set round whatever it multiplies."""
    monkeypatch.setattr(kernels.native, "rounds", lambda dtype: True)
    with using(request.param):
        yield request.param
