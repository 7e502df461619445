"""The examples in the docstrings do what they say."""

import doctest
import importlib
import pkgutil

import pytest

import seqjax.unrolling

pytestmark = pytest.mark.usefixtures("quick_compile")

MODULES = ["seqjax", *(module.name for module in pkgutil.walk_packages(seqjax.__path__, "seqjax."))]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    assert any(test.examples for test in finder.find(seqjax.unrolling, "seqjax.unrolling"))
