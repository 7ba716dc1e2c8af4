# `make demo` and `make test` prepare what they need in .venv, from pyproject.toml with the versions
# of constraints.txt, and do it again when one of the two changes.
#
#   make test PYTEST="-k local"        some of the tests
#   make test WORKERS=0                one after the other, in one process
#   make demo PYTHON=/opt/bin/python   with an interpreter of your own, 3.11 or newer

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/made-to-run
DEVELOPS := $(VENV)/made-to-develop

CANDIDATES := python3 python3.13 python3.12 python3.11 python
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell for p in $(CANDIDATES); do \
	$$p -c "$(SUITABLE)" 2>/dev/null && { echo $$p; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST ?=
WORKERS ?= 2

.PHONY: help demo test lint types docs bench wheel clean

help:
	@echo "make demo    four simulated carriers, the daemon between them, a summary"
	@echo "make test    lint, types, and all tests"
	@echo "make lint    ruff: rules and format"
	@echo "make types   mypy, strict, on daemon and protocols"
	@echo "make docs    the pages of docs/, in build/docs; any warning fails"
	@echo "make bench   the bench suites, shortened"
	@echo "make wheel   a wheel in dist/"
	@echo "make clean   remove what these made"

demo: $(RUNS)
	$(BIN)/carrierd demo

# Compiled first: tests start hundreds of processes, and where the environment forbids them to write
# bytecode each would compile all it imports again, a fifth of its start.
test: lint types
	$(BIN)/python -m compileall -q daemon protocols bench tests
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

lint: $(DEVELOPS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEVELOPS)
	$(BIN)/mypy

# Fresh each time: what a page no longer says must not survive in what was built before.
docs: $(DEVELOPS)
	rm -rf build/docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet \
		--doctree-dir build/doctrees --fresh-env docs build/docs
	@echo "build/docs/index.html"

bench: $(RUNS)
	$(BIN)/carrierd bench contract --seconds 15 --most 10000; contract=$$?; \
	$(BIN)/carrierd bench throughput --seconds 5 --repeats 1 --most 20000 \
		--protocols mixed && exit $$contract

# setuptools comes from constraints.txt too, so that the build is the same everywhere.
wheel: $(DEVELOPS)
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed" \
		"(Debian, Ubuntu: apt install python3-venv); none of these is: $(CANDIDATES)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNS): pyproject.toml constraints.txt | $(BIN)/python
	@echo "setting up $(VENV), once"
	$(PIP) install -c constraints.txt setuptools
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(DEVELOPS): $(RUNS)
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[dev,docs]"
	@touch $@

clean:
	rm -rf docs/reference $(VENV) .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find daemon protocols bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
