# The two commands of the README (`make quickstart`, `make test`) and what developers need.
# Everything runs from .venv, made here with the versions in constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PEERS_VENV := .venv-peers
PEERS := $(PEERS_VENV)/installed

.DELETE_ON_ERROR:
.PHONY: help quickstart readme test check learn faults fuzz gpu bench install docs clean

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST)

install: $(STAMP)  ## Make .venv with pinned versions

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed"; \
	  echo "hint: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) -V); awac needs Python 3.11 or newer"; \
	  echo "hint: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv module"; echo "hint: on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(STAMP)  ## From 25 demonstrations to a policy that succeeds, in minutes
	@$(MAKE) --no-print-directory -C examples/relocate AWAC=$(abspath $(BIN))/awac

readme: $(STAMP)  ## Run the quickstart's three seeds, rewrite what README.md shows of them; with -j2, two at a time
	@$(MAKE) --no-print-directory -C examples/relocate AWAC=$(abspath $(BIN))/awac PYTHON=$(abspath $(BIN))/python readme

test: $(STAMP)  ## Run the tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)  ## Style, types, architecture, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

learn: $(STAMP)  ## Tests that train until something is learned
	$(BIN)/python -m pytest -m learning --timeout 1200

faults: $(STAMP)  ## Kill, hang, fill and break everything, at length
	$(BIN)/python -m pytest -m faults tests/faults

fuzz: $(STAMP)  ## Read thousands of corrupted artifacts; see docs/security.md
	$(BIN)/python -m pytest -m fuzz tests/fuzz

gpu: $(STAMP)  ## Tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

bench: $(STAMP) $(PEERS)  ## Measure ratios against peers and the machine's limits; see benchmarks/README.md
	$(BIN)/python -m benchmarks

$(PEERS): benchmarks/peers.txt
	test -x $(PEERS_VENV)/bin/python || $(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

docs: $(STAMP)  ## Rewrite docs/cli.md from the commands' own help
	$(BIN)/python -m awaccli.cli.reference > docs/cli.md

clean:  ## Remove what the quickstart made
	@$(MAKE) --no-print-directory -C examples/relocate clean
