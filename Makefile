# Two commands: `make run` and `make test`. Needs Python 3.11 or newer with venv, and make; nothing else.
SHELL := /bin/bash
BIN := .venv/bin
# One more than there are cores: many tests wait for processes that die, for disks and for browsers.
PYTEST_WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Rooms whose types are strict: the same list as in pyproject.toml.
TYPED := base model expression compile plugin approval command ledger

.PHONY: help install install-test install-dev run test nightly storm house shots bench lint clean

help:
	@echo "make run      install, make the demo tenant, serve it at http://127.0.0.1:8000 (PORT=8001: there)"
	@echo "make test     install and run the tests"
	@echo "make nightly  the long tests: everything on PostgreSQL too, generated requests, expressions, fuzz; an hour or more"
	@echo "make storm    kill the money paths at random places for STORM_MINUTES (10), then hold every planted fault against its check"
	@echo "make house    fifty clients on a served lender for STORM_MINUTES (10) while workers, web processes and Redis are killed (HOUSE_ARGS=--database URL)"
	@echo "make install  only set up .venv (then .venv/bin/metaloom works)"
	@echo "make shots    screenshots of every kind of screen, into shots/"
	@echo "make bench    measure lists and details at 1,000,000 rows"
	@echo "make lint     ruff, import contracts, types of the inner rooms"

# A stamp remembers the packaging files that were installed; source files need no new installation.
install: .venv/.installed
install-test: .venv/.installed-test
install-dev: .venv/.installed-dev

.venv/.installed: setup.cfg pyproject.toml platform/metaloom/__init__.py | $(BIN)/python
	$(PIP) .
	@touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) '.[test]'
	@touch $@

.venv/.installed-dev: .venv/.installed-test
	$(PIP) '.[test,dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "metaloom needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python lacks venv: apt-get install python3-venv" >&2; exit 1; }

PORT ?= 8000
run: install
	$(BIN)/metaloom run --demo --port $(PORT)

test: install-test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

nightly: install-test
	METALOOM_FULL=1 METALOOM_SEED=$$(date +%j) $(BIN)/python -m pytest -m "nightly or not nightly" tests/generic --timeout 3600 $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m nightly --ignore tests/generic --timeout 7200 $(PYTEST_ARGS)

STORM_MINUTES ?= 10
STORM_SEED ?= 1
storm: install-test
	$(BIN)/python -m tests.storm --minutes $(STORM_MINUTES) --seed $(STORM_SEED) $(STORM_ARGS)

house: install-test
	$(BIN)/python -m tests.storm.house --minutes $(STORM_MINUTES) --seed $(STORM_SEED) $(HOUSE_ARGS)

shots: install-test
	$(BIN)/python -m tests.journeys.shots

bench: install-test
	$(BIN)/python -m bench

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/metaloom check --strict
	$(BIN)/lint-imports --config setup.cfg --no-logo
	MYPYPATH=platform $(BIN)/mypy $(TYPED:%=-p metaloom.%)

clean:
	rm -rf .venv build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
