"""The way in and the way out: weights of other frameworks, and models for other run times.

Everything here wants the extra `interop` (`pip install 'seqjax[interop]'`) and is imported when it
is used first; no foreign framework runs.
"""
