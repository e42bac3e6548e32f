# Every target is idempotent and sets up what it needs. On a fresh machine, `make demo` or `make test` is enough.
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
BENCH_VENV := .bench-venv
BENCH_STAMP := $(BENCH_VENV)/.setup-stamp

.PHONY: setup demo test lint evidence bench
setup: $(STAMP)

# torch goes first and by its pinned version, so that an index with a CPU build can serve it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[all,dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/truing demo --out runs/demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/file_lengths.py

# `make evidence NAME=x ARGS=--quick` runs one claim; without NAME, all of them.
evidence: setup
	$(BIN)/python tools/run_all.py evidence "$(NAME)" $(ARGS)

# Each script compares with a peer in the same run; see bench/README.md. The peers live in an environment of their own.
bench: $(BENCH_STAMP)
	$(BENCH_VENV)/bin/python tools/run_all.py bench "$(NAME)" $(ARGS)

$(BENCH_STAMP): pyproject.toml constraints.txt bench/requirements.txt
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(PIP_ARGS) "$$(grep '^torch==' constraints.txt)"
	$(BENCH_VENV)/bin/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[local,inspect,learn]" -r bench/requirements.txt
	touch $(BENCH_STAMP)
