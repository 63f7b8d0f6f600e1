# Every target makes .venv when it is missing; nothing outside this folder is written, but pip's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DATA ?= ../shared/data
OUT ?= results

.PHONY: demo serve test check bench lifecycle workers ablate eval clean

demo: $(STAMP)
	$(BIN)/memsvc demo

serve: $(STAMP)
	$(BIN)/memsvc serve

test: check
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m evals bench --data $(DATA)/locomo --out $(OUT)/bench

lifecycle: $(STAMP)
	$(BIN)/python -m evals lifecycle --out $(OUT)/lifecycle

workers: $(STAMP)
	$(BIN)/python -m evals workers --data $(DATA) --out $(OUT)/workers

ablate: $(STAMP)
	$(BIN)/python -m evals ablate --data $(DATA) --out $(OUT)/ablation

eval: $(STAMP)
	$(BIN)/python -m evals run --suite locomo --data $(DATA)/locomo --out $(OUT)/locomo
	$(BIN)/python -m evals run --suite beam --data $(DATA)/beam_100K --out $(OUT)/beam
	$(BIN)/python -m evals run --suite longmemeval --data $(DATA)/longmemeval --out $(OUT)/longmemeval

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis results dist

# torch is pinned in constraints.txt, so that a machine without a GPU is not given CUDA's packages by a newer release.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)
