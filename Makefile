# Two commands: `make demo` and `make test`. Both install what they need into .venv first.
#
# `make test` runs all tests, spread over the cores (eight minutes on two); `make test-fast` those that need no workflow and
# no trained model (a minute). Both in random order: the first lines name the seed, and `make test
# TESTS=--randomly-seed=N` runs that order again. TESTS takes any other words of pytest as well.
#
# `make docs` builds the documentation's site into build/docs.

PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
TESTS ?=
# A process for each core but no more than four: each starts jobs of its own. One that has nothing left to do takes tests
# from another.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

.PHONY: demo kitchen-full recipes test test-fast test-install test-readers test-slurm coverage install lint docs clean

demo: install
	$(BIN)/snakemake --cores $(CORES) report

# The same on 240 videos, with every task of the evaluation but scaling: 20 minutes on two cores.
kitchen-full: install
	$(BIN)/snakemake --cores $(CORES) report --configfile config.yaml config/kitchen-full.yaml

# 240 videos whose steps follow from each other, seen by an S3D that was trained on something else.
recipes: install
	$(BIN)/snakemake --cores $(CORES) report --configfile config.yaml config/recipes.yaml

test: install
	$(PYTEST) $(TESTS)

test-fast: install
	$(PYTEST) -m "not slow" $(TESTS)

# The package in empty environments: builds, downloads and installs for some minutes.
test-install: install
	VIDEOBERT_TEST_INSTALL=1 $(BIN)/python -m pytest tests/test_installation.py -p no:randomly -rP $(TESTS)

# Our tables in DuckDB, polars, fastparquet and pyarrow, each in an environment of its own: half a minute, and downloads.
test-readers: install
	VIDEOBERT_TEST_READERS=1 $(BIN)/python -m pytest tests/test_readers.py -p no:randomly $(TESTS)

# The workflow on a real Slurm, which is started on this machine: as root, after apt-get install slurm-wlm munge.
test-slurm: install
	VIDEOBERT_TEST_SLURM=1 $(BIN)/python -m pytest tests/test_slurm.py -p no:randomly $(TESTS)

# What the tests run of the package, jobs of the workflow included: a table, and build/coverage/index.html.
coverage: export COVERAGE_FOLDER := $(CURDIR)/build/coverage
coverage: export COVERAGE_PROCESS_START := $(CURDIR)/pyproject.toml
coverage: install
	rm -rf build/coverage && mkdir -p build/coverage
	$(MAKE) test
	$(BIN)/coverage combine --quiet build/coverage
	$(BIN)/coverage html --quiet --directory build/coverage
	$(BIN)/coverage report

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow && $(BIN)/snakemake --lint --quiet \
		&& $(BIN)/lint-imports && $(BIN)/mypy

# The site of the documentation, build/docs/index.html; a warning is an error.
docs: install
	PYTHONPATH=. $(BIN)/sphinx-build -W --keep-going -n -q docs build/docs
	@echo build/docs/index.html

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

clean:
	find -H results -mindepth 1 ! -path results/README.md -delete
