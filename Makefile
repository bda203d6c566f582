# The developer's interface. Continuous integration runs the same targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STREAMS ?= 4
MINUTES ?= 30
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Tests mostly wait for cameras and brokers, so more than one file runs at a time.
PARALLEL ?= 3
# --upgrade takes the newest versions that pyproject.toml allows; without it, only what must change
LOCK_ARGS ?=

.PHONY: help install demo test coverage check format bench soak lock sbom audit install-service clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Create the environment in .venv (PYTHON=python3, VENV=.venv)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: install ## Run the daemon on embedded cameras, broker and model (STREAMS=4, DEMO_ARGS=)
	$(BIN)/framelane demo --streams $(STREAMS) $(DEMO_ARGS)

test: install ## Install what the tests need, and run them all (PYTEST_ARGS=, PARALLEL=3)
	scripts/install_test_neighbours.sh
	PYTHONUTF8=1 $(BIN)/python -m pytest -n $(PARALLEL) --dist loadfile $(PYTEST_ARGS)

coverage: install ## Print how much of the code the quick tests run, and fail below the floor
	PYTHONUTF8=1 $(BIN)/python -m pytest -n $(PARALLEL) --dist loadfile --cov --cov-report=term:skip-covered \
	  tests/cli tests/config tests/control tests/core tests/fleet tests/inference tests/media tests/messages \
	  tests/models tests/node tests/pipeline tests/telemetry tests/web

check: install ## Run the linter, the format check and the type checker
	$(BIN)/ruff check daemon deploy scripts tests
	$(BIN)/ruff format --check daemon deploy scripts tests
	$(BIN)/mypy
	$(BIN)/mypy scripts tests

format: install ## Fix what the linter can, and format the code
	$(BIN)/ruff check --fix daemon deploy scripts tests
	$(BIN)/ruff format daemon deploy scripts tests

bench: install ## Run the main benchmark: eight cameras on the CPU
	$(BIN)/python scripts/bench_pipeline.py

soak: install ## Run the soaks: memory, events, reconnects, random faults; over two hours (MINUTES=30)
	$(BIN)/python scripts/soak_memory.py --minutes $(MINUTES)
	$(BIN)/python scripts/soak_memory.py --minutes $(MINUTES) --streams 4 --crowd 30
	$(BIN)/python scripts/soak_events.py
	$(BIN)/python scripts/soak_events.py --outage 600
	$(BIN)/python scripts/soak_reconnects.py --reconnects 200
	$(BIN)/python scripts/soak_chaos.py --minutes $(MINUTES)

$(VENV)/.release: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	touch $@

lock: $(VENV)/.release ## Write requirements/ with versions and hashes (LOCK_ARGS=--upgrade)
	PATH=$(BIN):$$PATH scripts/lock.sh $(LOCK_ARGS)

sbom: $(VENV)/.release ## Write a CycloneDX bill of materials to dist/
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --output-reproducible --output-file dist/framelane.cdx.json requirements/runtime.txt

audit: $(VENV)/.release ## Look for known vulnerabilities in the locked packages
	PATH=$(BIN):$$PATH scripts/audit.sh

install-service: ## Install or upgrade the systemd service (as root; GPU=yes, DESTDIR=)
	PYTHON=$(PYTHON) scripts/install_service.sh

clean: ## Remove the environment, builds and caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
