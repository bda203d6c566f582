# The developer's interface: make demo | test | check | format | bench | soak. Continuous integration runs the same targets.
# For releases and hosts: make lock | sbom | audit | install-service.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STREAMS ?= 4
MINUTES ?= 30
DEMO_ARGS ?=
PYTEST_ARGS ?=
# --upgrade: the newest versions that pyproject.toml allows; without it, only what has to change
LOCK_ARGS ?=

.PHONY: demo test check format bench soak install clean lock sbom audit install-service

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/framelane demo --streams $(STREAMS) $(DEMO_ARGS)

test: install
	scripts/install_test_neighbours.sh
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install
	$(BIN)/ruff check daemon deploy scripts tests
	$(BIN)/ruff format --check daemon deploy scripts tests
	$(BIN)/mypy
	$(BIN)/mypy scripts tests

format: install
	$(BIN)/ruff check --fix daemon deploy scripts tests
	$(BIN)/ruff format daemon deploy scripts tests

bench: install
	$(BIN)/python scripts/bench_pipeline.py

soak: install
	$(BIN)/python scripts/soak_memory.py --minutes $(MINUTES)
	$(BIN)/python scripts/soak_reconnects.py --reconnects 200
	$(BIN)/python scripts/soak_chaos.py --minutes $(MINUTES)

$(VENV)/.release: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	touch $@

lock: $(VENV)/.release
	PATH=$(BIN):$$PATH scripts/lock.sh $(LOCK_ARGS)

sbom: $(VENV)/.release
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --output-reproducible --output-file dist/framelane.cdx.json requirements/runtime.txt

audit: $(VENV)/.release
	PATH=$(BIN):$$PATH scripts/audit.sh

install-service:
	PYTHON=$(PYTHON) scripts/install_service.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
