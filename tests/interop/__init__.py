"""Tests of `seqjax.interop`, against values that the other frameworks gave, see tests/golden/README.md."""
