"""What the tests of the kernels share."""

import platform

import pytest

from seqjax import kernels

SETS = ["baseline", "avx512-bf16", "amx"] if platform.machine() == "x86_64" else ["neon"]


@pytest.fixture(params=SETS)
def instructions(request, monkeypatch):
    """Has an instruction set round whatever it multiplies."""
    from seqjax.kernels import _native

    best = _native.instruction_set()
    try:
        _native.use(request.param)
    except ValueError:
        pytest.skip(f"this CPU has no {request.param}")
    monkeypatch.setattr(kernels.native, "rounds", lambda dtype: True)
    yield request.param
    _native.use(best)
