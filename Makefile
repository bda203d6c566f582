# The developer's interface: make demo | test | check | format | bench | soak. Continuous integration runs the same targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STREAMS ?= 4
MINUTES ?= 30
DEMO_ARGS ?=
PYTEST_ARGS ?=

.PHONY: demo test check format bench soak install clean

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
	$(BIN)/ruff check daemon scripts tests
	$(BIN)/ruff format --check daemon scripts tests
	$(BIN)/mypy
	$(BIN)/mypy scripts tests

format: install
	$(BIN)/ruff check --fix daemon scripts tests
	$(BIN)/ruff format daemon scripts tests

bench: install
	$(BIN)/python scripts/bench_pipeline.py

soak: install
	$(BIN)/python scripts/soak_memory.py --minutes $(MINUTES)
	$(BIN)/python scripts/soak_reconnects.py --reconnects 200
	$(BIN)/python scripts/soak_chaos.py --minutes $(MINUTES)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
