# make demo and make test set everything up by themselves; nothing is installed outside .venv.

PYTHON ?= python3
BIN := .venv/bin
# Tests wait for PostgreSQL as long as they work, so one more worker than there are cores is of use, and more than five are not.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores < 4 ? cores + 1 : 5)))
INSTALL := $(BIN)/python scripts/install.py
# Among some tests that are asked for there may be none of those that are run by themselves, which pytest ends with 5.
NONE_OF_SOME = $(if $(ARGS),|| [ $$? -eq 5 ])

# What Python has compiled is kept, whatever is set outside: else each of many hundreds of short programs compiles it all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve test test-setup check check-types check-rules schemas verifier rows faults bench growth pages-shots clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(BIN)/.installed  ## set up, record a small story, and show what a ledger can tell of it
	@echo "Starting PostgreSQL, and recording a small story …"
	@$(BIN)/runfold demo

serve: $(BIN)/.installed  ## set up, and serve the ledger over HTTP until Ctrl-C
	@$(BIN)/runfold serve $(ARGS)

test: $(BIN)/.installed-dev  ## set up, and run the tests on a real PostgreSQL
	@failed=0; \
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m "not alone and not paired" $(ARGS) || failed=1; \
	{ $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m paired $(ARGS) $(NONE_OF_SOME); } || failed=1; \
	{ $(BIN)/python -m pytest -m alone $(ARGS) $(NONE_OF_SOME); } || failed=1; \
	exit $$failed

test-setup: $(BIN)/.installed-dev

check: $(BIN)/.installed-dev  ## lint, format, types, layers, and that schemas/ and docs/reference/ match the code
	@$(MAKE) --no-print-directory --jobs=2 check-types check-rules

check-types:
	@$(BIN)/mypy

check-rules:
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python scripts/export_schemas.py --check
	@$(BIN)/python scripts/write_reference.py --check

schemas: $(BIN)/.installed-dev  ## write schemas/ and docs/reference/ from the code
	@$(BIN)/python scripts/export_schemas.py
	@$(BIN)/python scripts/write_reference.py

verifier:  ## make dist/runfold-verify.pyz, which verifies bundles of evidence with Python and cryptography alone
	@$(PYTHON) scripts/make_verifier.py

rows: $(BIN)/.installed-dev  ## compare the tests with a list of features, LIST=FILE, which is not part of the project
	@$(BIN)/python scripts/rows.py $(LIST) $(ARGS)

faults: $(BIN)/.installed-dev  ## kill, cut off and fill up everything under load; RUNFOLD_DATABASE_URL=… tries your own database
	@$(BIN)/python scripts/faults/run.py $(ARGS)

bench: $(BIN)/.installed-dev  ## measure against the rivals, in the same run; what grows with the log has a line of its own
	@$(BIN)/python scripts/bench/run.py $(ARGS)

growth: $(BIN)/.installed-dev  ## measure what takes longer in a log of a million events than in one of ten thousand; ARGS=--long: of five million
	@$(BIN)/python scripts/bench/growth.py $(ARGS)

pages-shots: $(BIN)/.installed-dev  ## take pictures of the pages, light, dark, narrow and printed, into build/shots; ARGS='claude-code=PATH …' imports more to look at
	@$(BIN)/python scripts/pages_shots.py build/shots $(ARGS)

clean:  ## remove the environment and everything that was built
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Runfold needs Python 3.11 or newer; set PYTHON=…")'
	@echo "Making .venv with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv .venv

$(BIN)/.installed: pyproject.toml .ci/constraints.txt | $(BIN)/python
	@$(INSTALL) embedded,importers,webhooks,agui
	@touch $@

$(BIN)/.installed-dev: pyproject.toml .ci/constraints.txt | $(BIN)/python
	@$(INSTALL) embedded,importers,webhooks,agui,dev
	@touch $@ $(BIN)/.installed
