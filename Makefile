# make help says what there is. Two commands set everything up: make book, make test.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup book test lab lock clean
VENV := .venv
STAMP := $(VENV)/.installed
IS_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))
PYTHON := $(shell for p in python3.11 python3 python; do $$p -c '$(IS_311)' 2>/dev/null && { command -v $$p; break; }; done)
COMPILER := $(shell command -v $${CXX:-g++})

help:  ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  ##' Makefile | sed -E 's/^([a-z]+):.*## */make \1\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything in requirements.lock (once)

$(STAMP): requirements.lock pyproject.toml
	@[[ -n "$(COMPILER)" ]] || { echo "no C++ compiler: install g++ (fasttext is built from source), then run make again"; exit 1; }
	@[[ -n "$(PYTHON)" ]] || { echo "no Python 3.11: install it (with its venv module), then run make again"; exit 1; }
	@[[ -x $(VENV)/bin/pip ]] || "$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement requirements.lock
	$(VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $(STAMP)

book: setup  ## run every notebook at scale mini, build the book, print its address
	$(VENV)/bin/xlt run --scale mini
	$(VENV)/bin/xlt book --scale mini

test: setup  ## ruff and every test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/python -m pytest

lab: setup  ## open the notebooks in JupyterLab
	$(VENV)/bin/jupyter lab notebooks

lock: setup  ## write requirements.lock from what is installed in .venv
	@{ sed -n '/^#/p' requirements.lock; \
	   $(VENV)/bin/pip freeze --all --exclude xltlib --exclude pip --exclude wheel | sed -E 's/^(torch==[^+]*)\+.*/\1/'; \
	} > requirements.lock.new && mv requirements.lock.new requirements.lock

clean:  ## remove the book, executed copies and caches; finished runs (build/records) stay
	rm -rf book/_build build/executed build/book_source .pytest_cache .ruff_cache
	find xltlib tests -name __pycache__ -prune -exec rm -rf {} +
