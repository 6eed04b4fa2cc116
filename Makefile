# The two commands: `make run` (the main job) and `make test` (every check that CI runs).
# Variables: PYTHON (>= 3.11), ONCE=1, DIR, NODES, USERS (make run); MINUTES (make test: virtual, each
# seed of the simulation); SEEDS (make test-long).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIR ?= demo-state
NODES ?= 5
USERS ?= alice,bob,carol
SEEDS ?= 20
MINUTES ?= 60
WORKERS ?= 4

.PHONY: run test checked compiled test-long bench soak figures clients clean lint types

$(VENV)/.run: requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ePOST needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": say make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what ePOST runs on (pinned, hashes checked) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@echo "Installing the tools of the tests ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

run: $(VENV)/.run
	@$(BIN)/epost demo --dir $(DIR) --nodes $(NODES) --users $(USERS) $(if $(filter 1,$(ONCE)),--once)

clients:
	@sh tests/interop/install_clients.sh

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# Hundreds of processes are started: none should compile anything anew, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

# Types take one core for long: the sources are compiled beside, and the tests, whose asserts pytest rewrites, so
# that not every worker does it. What is wrong with a test is told when it is run.
checked: types lint compiled
compiled: $(VENV)/.dev
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python -m pytest -n 0 --collect-only -qq >/dev/null 2>&1 || true

# Tests run in the order in which tests/conftest.py puts them.
test: $(VENV)/.dev clients
	@$(MAKE) --no-print-directory -j 2 checked
	EPOST_SIMULATED_MINUTES=$(MINUTES) $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not long" --durations=25 --cov --cov-report=term:skip-covered --cov-fail-under=90

test-long: $(VENV)/.dev clients
	EPOST_SEEDS=$(SEEDS) $(BIN)/python -m pytest -m long -n $(WORKERS) --timeout=5400 tests/simulation
	EXPLORE=1 $(BIN)/python -m pytest -m long -s --timeout=5400 --ignore=tests/simulation

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py

# An hour: daemons are killed, upgraded from the first version, and their clocks jump (libfaketime).
soak: $(VENV)/.dev
	$(BIN)/python benchmarks/soak.py

# QUICK=1: small sizes, a few minutes, into build/ only. What this code has run is not run again
# (an interrupted run goes on) unless AGAIN=1.
figures: $(VENV)/.run
	$(BIN)/python benchmarks/figures/run.py $(if $(filter 1,$(QUICK)),--quick --json build/figures.json,--page docs/figures.md) $(if $(filter 1,$(AGAIN)),--again)

clean:
	rm -rf $(VENV) $(DIR) build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
