# make replicate   fit every model behind the published tables and print ours beside theirs
# make certify     fit what SAS and SPSS were run on and print each of their numbers beside ours
# make test        lint, type-check and test
# make check       only lint and type-check
# make test-engines  install Dask and Spark and test with them; Spark needs a Java runtime, 17 or newer
# make docs        build the site (docs/_build/html/index.html); what is wrong with a page stops it
# make wheel       build a wheel and a source distribution, and fit with each in an empty environment
# make bench       run the benchmarks
# make bench-check compare the work of some fits, in counts and in ratios, with what was committed
# make install     only make the virtual environment (.venv) and install the package into it
# make clean       remove the environment and everything that was built
#
# Each target does its own set-up (tools/bootstrap.sh); nothing but Python >= 3.11, git and make is needed.

VENV   := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
# An environment without PATH happens in continuous integration.
export PATH ?= /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# One thread for BLAS: the blocks of a mixed model are small, and threads only get in each other's way.
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
# Two targets must not set up the same environment at once.
.NOTPARALLEL:
.PHONY: help install replicate certify test test-engines check docs docs-links wheel bench bench-check clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

install: $(VENV)/.installed

replicate: $(VENV)/.installed
	$(PYTHON_IN_VENV) -m mixedmodels

certify: $(VENV)/.installed
	$(PYTHON_IN_VENV) -m mixedmodels certify

# The tests run even where the checks fail, so that one look shows everything that is wrong. A process for each
# core; the tests of one file stay together, since they share what they fitted.
test: $(VENV)/.installed-dev
	@checked=0; $(MAKE) --no-print-directory check || checked=1; \
	$(PYTHON_IN_VENV) -m pytest -n auto --dist loadfile || exit 1; \
	[ $$checked = 0 ] || { echo "The tests pass, but 'make check' fails: see above."; exit 1; }

# Dask on a cluster of two processes, Spark in a session of its own. Java does not come from pip.
test-engines: $(VENV)/.installed-engines
	@{ [ -n "$$JAVA_HOME" ] || command -v java >/dev/null; } || { \
	echo "Spark needs a Java runtime: on Debian or Ubuntu, sudo apt-get install default-jre-headless"; exit 1; }
	MIXEDMODELS_TEST_SPARK=1 $(PYTHON_IN_VENV) -m pytest tests/streams

check: $(VENV)/.installed-dev
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy

# Warnings are errors: a broken reference, a cell that fails, a page that nothing leads to. Then every page's
# examples run, those of packages that `make test` does without too.
docs: $(VENV)/.installed-docs
	$(PYTHON_IN_VENV) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(PYTHON_IN_VENV) -m pytest tests/test_docs.py
	@echo "docs/_build/html/index.html"

# Addresses outside the site too: needs a network.
docs-links: $(VENV)/.installed-docs
	$(PYTHON_IN_VENV) -m sphinx -q -b linkcheck docs docs/_build/links

wheel: $(VENV)/.installed
	@tools/wheel.sh

bench: $(VENV)/.installed-dev
	$(PYTHON_IN_VENV) -m benchmarks

bench-check: $(VENV)/.installed-dev
	$(PYTHON_IN_VENV) -m benchmarks.counts
	$(PYTHON_IN_VENV) -m benchmarks.ratios

$(VENV)/.installed: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh
	@touch $@

$(VENV)/.installed-dev: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh test,dev,plot,sklearn,tables
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-engines: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh test,dask,spark
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh docs,test,plot,sklearn,tables,marginaleffects
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist docs/_build docs/api/generated .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
