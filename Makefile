# Shoal. `make` lists the targets; each runs on a clean checkout with nothing but Python 3.11+ and a package index.

PYTHON ?= python3
PORT   ?= 8400
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.DEFAULT_GOAL := list
.PHONY: list setup run check test practice simulate measure docs hostile lock clean

list: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Shoal needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Shoal into $(VENV) (a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,learn,prove]'
	@touch $@

setup: $(STAMP) ## create .venv and install everything

run: setup ## set up, start the practice pool and serve on PORT (default 8400)
	@exec $(BIN)/shoal serve --port $(PORT)

check: setup ## format, lint, types, import contracts, tidiness, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/tidy.py
	$(BIN)/codespell

test: check ## check and all suites
	$(BIN)/pytest -n 2 --dist loadfile

practice: setup ## train every practice model again and write its report card (about an hour on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[recipes]'
	$(BIN)/python recipes/practice/train.py
	$(BIN)/python -m shoal.practice.card

simulate: setup ## the deterministic simulation over many seeds
	$(BIN)/pytest tests/simulation --seeds 200

measure: setup ## the benches: overhead of the gateway, decision time, practice bars
	$(BIN)/python -m shoal.evaluation.measure

hostile: setup ## 1,000 half-open sockets and three rounds of hostile load against a running server
	$(BIN)/python -m shoal.evaluation.hostile

docs: setup ## write the generated reference pages anew
	$(BIN)/python tools/reference.py

lock: ## resolve the newest versions and write constraints.txt anew
	@rm -rf .lock && $(PYTHON) -m venv .lock
	@.lock/bin/pip install --quiet --disable-pip-version-check '.[dev,learn,prove,recipes]'
	@.lock/bin/pip freeze --exclude shoal > constraints.txt && rm -rf .lock
	@echo "constraints.txt written; run make test"

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
