# The commands of this project. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo demo-once test lint bench screenshots clean constraints help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# torch goes in first: its pinned build is the small CPU one where that is to be had.
$(VENV)/.demo: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a few minutes the first time) …"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "Installing what the tests need …"
	@$(PIP) --constraint constraints.txt --editable '.[demo,databroker,kafka,dask,theory,plot]' \
	  hypothesis import-linter mypy playwright pytest pytest-timeout ruff types-PyYAML
	@touch $@

demo: $(VENV)/.demo  ## simulated beamline, Tiled, service: watch scans being predicted (Ctrl-C ends)
	@$(BIN)/xanes-live demo $(DEMO_OPTIONS)

demo-once: $(VENV)/.demo  ## the whole programme once, checked; exits 0 or 1
	@$(BIN)/xanes-live demo --once

test: $(VENV)/.dev  ## all tests that need no GPU
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not gpu" $(TEST_OPTIONS)

lint: $(VENV)/.dev  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev  ## benchmarks: ratios against a baseline in the same run
	@for f in tests/benchmarks/bench_*.py; do echo "== $$f"; $(BIN)/python $$f || exit 1; done

screenshots: $(VENV)/.dev  ## the README's pictures, from a running demonstration: make screenshots URL=http://127.0.0.1:…/
	@$(BIN)/python -m tests.browser.screenshots --url $(URL) --out $(VENV)/screenshots
	@cp $(VENV)/screenshots/now.png docs/img/page-now.png
	@cp $(VENV)/screenshots/sweeps.png docs/img/page-sweeps.png
	@$(BIN)/xanes-live predict xanes_live/demo/data/FeO_rt_01.xdi --plot docs/img/feo.png

constraints: $(VENV)/.dev  ## write the installed versions to constraints.txt
	@{ echo "# Every version this project is tested with, for pip's --constraint."; \
	   $(BIN)/python -m pip freeze --exclude-editable | grep -v '^-e' | sed 's/+cpu//'; } > constraints.txt

clean:  ## remove everything that was built or installed
	rm -rf $(VENV) var build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
