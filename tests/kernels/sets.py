"""Instruction sets of the compiled kernels, for tests of each."""

import contextlib

import pytest


@contextlib.contextmanager
def using(name):
    """Takes an instruction set for a while; a CPU that lacks it skips the test."""
    from seqjax.kernels import _native

    best = _native.instruction_set()
    try:
        _native.use(name)
    except ValueError:
        pytest.skip(f"this CPU has no {name}")
    try:
        yield
    finally:
        _native.use(best)
