# Two commands: `make demo` and `make test`. Both install what they need into .venv first.

PYTHON ?= python3
BIN := .venv/bin
CORES ?= all

.PHONY: demo kitchen-full test install lint clean

demo: install
	$(BIN)/snakemake --cores $(CORES) report
	@cat results/report/summary.txt

# The same on 240 videos, with every task of the evaluation but scaling: 20 minutes on two cores.
kitchen-full: install
	$(BIN)/snakemake --cores $(CORES) report --configfile config.yaml configs/kitchen-full.yaml
	@cat results/kitchen-full/report/summary.txt

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow && $(BIN)/lint-imports

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

clean:
	find results -mindepth 1 ! -name README.md -delete
