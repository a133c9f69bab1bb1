# Everything runs in a virtual environment in the tree; a laptop and CI use the same commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Images of Python often set it, and then each program that a test starts compiles mtlsctl again.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest -n $(or $(WORKERS),auto) --dist loadgroup

.PHONY: demo fleet-demo check test slow lint schemas docs bench soak lock dist clean
.DEFAULT_GOAL := test

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("mtlsctl needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## the main job on the embedded store, step by step
	@$(BIN)/python examples/demo.py

fleet-demo: $(STAMP) ## a fleet of 60 stacks, three workers on a PostgreSQL of its own, and what one that dies leaves
	@tests/servers/setup postgresql
	@$(BIN)/python -m tests.fleet_demo

check: lint ## style, types, and every fast test: two minutes, for each change
	@$(PYTEST) -m 'not slow'

# Measuring costs time, so only the fast tests are measured, and only with COVERAGE=1, as in CI.
test: $(STAMP) ## every test, the large ones at their base size
	@tests/node/setup
	@tests/servers/setup
	@tests/actions/setup
	@tests/tools/setup
ifdef COVERAGE
	@$(PYTEST) -m 'not slow' --cov --cov-report=
	@$(PYTEST) -m slow
	@echo "coverage: $$($(BIN)/coverage report --format=total) % (lines that the fast tests run in their own processes)"
else
	@$(PYTEST)
endif

slow: $(STAMP) ## the slow tests at their full size
	@tests/node/setup
	@tests/servers/setup
	@tests/tools/setup
	@TESTS_FULL=1 $(PYTEST) -m slow

lint: $(STAMP) ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

schemas: $(STAMP) ## write the JSON Schemas again
	@$(BIN)/mtlsctl schema --all schemas

docs: $(STAMP) ## write the generated reference pages, and what shells complete, again
	@$(BIN)/python -m tests.support.completions
	@$(BIN)/python -m tests.support.reference

bench: $(STAMP) ## medians, and ratios to a bare interpreter of the same run
	@$(BIN)/python -m tests.bench.run

soak: $(STAMP) ## the simulation with new seeds, for MINUTES (10)
	@$(BIN)/python -m tests.simulation --minutes $(or $(MINUTES),10)

lock: $(STAMP) ## pin the development environment again, and of it what mtlsctl itself needs, with hashes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --constraint requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

dist: $(STAMP) ## build the sdist and the wheel into dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .coverage .ruff_cache .hypothesis build dist tests/node/node_modules tests/actions/bin
