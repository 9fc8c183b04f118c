# Needs make, Python 3.11 or newer and pip's package index; all else goes into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.stamp-setup
SEED ?= 1
unexport PYTHONDONTWRITEBYTECODE  # the tests start hundreds of programs, each of which would be compiled anew

.PHONY: help setup demo test lint deep bench clean

help:             ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)   ## the environment in .venv, with the exact versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup       ## the main job on the emulated rig: a day-ahead plan reaches the plug and is proven by a meter
	$(RUN)/bench run scsp-day-ahead --rig config/rigs/emulated.toml

test: setup lint  ## lint, types, imports and all tests
	$(RUN)/python -m pytest -n 3 --dist worksteal -q

lint: setup
	$(RUN)/ruff check
	$(RUN)/mypy
	$(RUN)/lint-imports

deep: setup       ## the property tests with many more examples; writes docs/deep-report.txt, to be committed
	HYPOTHESIS_PROFILE=deep $(RUN)/python -m pytest -n 2 -q -p no:cacheprovider --hypothesis-seed=$(SEED) \
	    tests/unit tests/loopback tests/procedures > .deep.tmp 2>&1; code=$$?; tail -n 15 .deep.tmp; \
	{ echo "make deep"; echo "commit $$(git rev-parse HEAD)"; echo "seed $(SEED), 5000 examples a property, 20000 stacks, 100000 reads of a bad line, 50 kills restored, 50 kills guarded, every seeded defect"; \
	  tail -n 1 .deep.tmp; } > docs/deep-report.txt; rm -f .deep.tmp; exit $$code

bench: setup      ## the benchmarks; each prints ratios measured in one run and exits 1 above its limit
	@for file in benchmarks/*.py; do echo "== $$file"; $(RUN)/python $$file || failed=1; done; exit $${failed:-0}

clean:            ## remove everything that was made here, but not the runs
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
