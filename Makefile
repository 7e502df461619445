PYTHON ?= python

.PHONY: check docs lint pages test

check: lint test pages  ## what CI runs

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m pyright
	$(PYTHON) -m codespell_lib seqjax experiments benchmarks docs tests *.md
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

test:
	$(PYTHON) -m pytest

docs:  ## the site, in docs/_build/html; warnings are errors
	$(PYTHON) -m sphinx -W --keep-going -q docs docs/_build/html

pages:  ## the site without running the chapters of the course
	$(PYTHON) -m sphinx -W --keep-going -q -D nb_execution_mode=off docs docs/_build/pages
