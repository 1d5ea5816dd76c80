# make demo    install into .venv and compare a few agents in minutes       make check   everything CI checks
# make help    all targets
PYTHON ?= python3
VENV ?= .venv
# Without a GPU, PyTorch's own CPU index saves gigabytes: make TORCH_INDEX=https://download.pytorch.org/whl/cpu test
TORCH_INDEX ?=
DEMO ?= compare --preset demo --out runs/demo
BENCHMARK ?= benchmarks/throughput.py
PIP_FLAGS ?= -q
PYTEST ?= -q -n auto --maxprocesses 4

BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread per test process: the processes are the parallelism.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST)

.PHONY: help install demo test test-all readme lint types check benchmark constraints clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(PIP_FLAGS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt -e ".[dev]"
	@touch $@

install: $(READY)  ## create .venv with the tested versions

demo: $(READY)  ## train and compare a few agents; report in runs/demo
	$(BIN)/recgym $(DEMO)

test: $(READY)  ## the tests, the README's examples among them
	$(TEST)

test-all: $(READY)  ## the tests that take minutes, too
	$(TEST) -m ""

readme: $(READY)  ## the README's examples alone
	$(BIN)/pytest -q tests/test_readme.py

lint: $(READY)  ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## everything before a commit

benchmark: $(READY)  ## throughput and memory
	$(BIN)/python $(BENCHMARK)

constraints: $(READY)  ## install every extra and pin what .venv then holds
	$(PIP) install $(PIP_FLAGS) -e ".[dev,all]"
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(PIP) freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\)+cpu/\1/' >> constraints.new
	@mv constraints.new constraints.txt

clean:  ## remove .venv, caches and builds; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find recgym envs agents experiments tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
