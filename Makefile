# Every target works on a fresh clone: whatever needs the environment builds it first.
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.aestyle-installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast test-gpu lint format bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## make .venv and install the package with its development tools

$(STAMP): pyproject.toml
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --editable '.[dev]'
	touch $@

demo: install ## train joint AE-StyleGAN on real faces, evaluate it, draw its pictures (about 15 minutes on 2 cores)
	$(PY) -m aestyle.train experiment=demo run_dir=runs/demo
	$(PY) -m aestyle.evaluate ckpt=runs/demo metrics=demo
	$(PY) -m aestyle.report run=runs/demo

test: install lint ## everything: lint, types, all tests
	$(PY) -m pytest -n 2

test-fast: install ## the quick part of the tests (under 3 minutes)
	$(PY) -m pytest -n 2 -m "not slow and not ddp"

test-gpu: install ## what only CUDA can show: parity, second derivatives, precisions, compiled passes, memory, NCCL
	$(PY) -m pytest -m gpu -rs

lint: install ## ruff (lint and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: install ## let ruff put the code in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install ## every measurement of speed and memory, into docs/benchmarks.md (an hour and a half of a machine that does nothing else)
	$(PY) -m benchmarks

clean: ## remove caches and build products (runs/ stays)
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -exec rm -rf {} +
