# `make demo` and `make test` prepare what they need in .venv, from pyproject.toml with the versions
# of constraints.txt, and do it again when one of the two changes.
#
#   make test PYTEST="-k local"        some of the tests
#   make test WORKERS=0                one after the other, in one process
#   make demo PYTHON=/opt/bin/python   with an interpreter of your own, 3.11 or newer
#
# pyproject.toml says what may be used, `make lock` writes down what is: constraints.txt everything,
# requirements*.lock what a release is made of, with hashes.  docs/release.md is the way to a release.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/made-to-run
DEVELOPS := $(VENV)/made-to-develop
RELEASES := $(VENV)/made-to-release

CANDIDATES := python3 python3.13 python3.12 python3.11 python
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell for p in $(CANDIDATES); do \
	$$p -c "$(SUITABLE)" 2>/dev/null && { echo $$p; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST ?=
WORKERS ?= 2
UPGRADE ?=
OUT ?= dist

NAME = carrierd-$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# The same commit gives the same bytes: its own time is the only one in them.
EPOCH = $(shell git log -1 --format=%ct)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--custom-compile-command "make lock" $(UPGRADE)

.PHONY: help demo test lint types docs bench lock dist wheel-compiled bundle sbom audit \
	release-check clean

help:
	@echo "make demo    four simulated carriers, the daemon between them, a summary"
	@echo "make test    lint, types, and all tests"
	@echo "make lint    ruff: rules and format; the Dockerfile and the compose file"
	@echo "make types   mypy, strict, on daemon and protocols"
	@echo "make docs    the pages of docs/, in build/docs; any warning fails"
	@echo "make bench   the bench suites, shortened"
	@echo "make dist    wheel and sdist of the last commit in dist/, with checksums"
	@echo "make wheel-compiled  that, and a wheel for this Python with its hot modules compiled"
	@echo "make bundle  the same with all it needs, to install without a network"
	@echo "make lock    versions and hashes again (UPGRADE=--upgrade: the newest)"
	@echo "make sbom, audit, release-check: see docs/release.md"
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
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec config/compose.yaml

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

lock: $(RELEASES)
	$(COMPILE) --all-extras --no-annotate -o constraints.txt pyproject.toml
	$(COMPILE) --generate-hashes -c constraints.txt -o requirements.lock pyproject.toml
	printf "%s\n" hatchling mypy setuptools | $(COMPILE) --generate-hashes -c constraints.txt -o requirements-build.lock -

# Of the last commit, whatever else lies about.
dist: $(RELEASES)
	rm -rf build/src $(OUT)
	mkdir -p build/src
	git archive HEAD | tar -x -C build/src
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m build --no-isolation --outdir $(OUT) build/src
	cd $(OUT) && sha256sum $(NAME)* > SHA256SUMS

# Beside the other one, and faster; needs a C compiler and Python's headers (hatch_build.py).
wheel-compiled: dist
	CARRIERD_COMPILE=1 SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m build --wheel --no-isolation \
		--outdir $(OUT) build/src
	cd $(OUT) && rm SHA256SUMS && sha256sum $(NAME)* > SHA256SUMS

# For this machine's kind and this Python: wheels, their checksums, units, examples.
bundle: wheel-compiled
	rm -rf build/bundle
	mkdir -p build/bundle/$(NAME)/wheels
	cp $(OUT)/$(NAME)-cp*.whl build/bundle/$(NAME)/wheels
	$(PIP) download --require-hashes --only-binary :all: -r requirements.lock \
		--dest build/bundle/$(NAME)/wheels
	cp -r requirements.lock systemd config LICENSE README.md build/bundle/$(NAME)
	cd build/bundle/$(NAME) && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
	tar -C build/bundle --sort=name --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner \
		--mode=u+rw,go+r,go-w -c $(NAME) | gzip -n > $(OUT)/$(NAME)-bundle.tar.gz

# Of what the bundle installs, and of nothing else that is here.
sbom: bundle
	rm -rf build/installed
	$(BIN)/python -m venv --without-pip build/installed
	$(PIP) --python build/installed install --no-index --find-links build/bundle/$(NAME)/wheels \
		--require-hashes -r requirements.lock
	$(PIP) --python build/installed install --no-index --no-deps build/bundle/$(NAME)/wheels/$(NAME)*.whl
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		--mc-type application --output-file $(OUT)/$(NAME).cdx.json build/installed

# Asks the package index, of every locked version, for what is known against it.
audit: $(RELEASES)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

release-check: $(RELEASES)
	$(BIN)/python -m pytest release

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed" \
		"(Debian, Ubuntu: apt install python3-venv); none of these is: $(CANDIDATES)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNS): pyproject.toml constraints.txt | $(BIN)/python
	@echo "setting up $(VENV), once"
	$(PIP) install -c constraints.txt hatchling
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(DEVELOPS): $(RUNS)
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[dev,docs]"
	@touch $@

$(RELEASES): $(DEVELOPS)
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[dev,docs,release]"
	@touch $@

clean:
	rm -rf docs/reference $(VENV) .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find daemon protocols bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
