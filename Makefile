# Targets with one line of help each: `make help`.
SHELL := /bin/bash
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
ROOMS := node deid federated ledger catalog proto
export FLWR_TELEMETRY_ENABLED := 0
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help setup demo test check lint proto contracts bench bench-deid bench-ledger bench-federated bench-catalog soak clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

define install
	@echo "setting up: $(1) into $(VENV) ($(if $(UV),uv,pip))"; start=$$SECONDS; \
	test -x $(BIN)/python || $(if $(UV),$(UV) venv --quiet --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV)) || exit 1; \
	$(if $(UV),$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check) --require-hashes -r $(1) || exit 1; \
	$(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check) --no-deps --no-build-isolation -e . || exit 1; \
	$(BIN)/python -m compileall -q -j 0 $(ROOMS) || exit 1; \
	touch $(2); echo "set up in $$((SECONDS - start)) s"
endef

BUILT := pyproject.toml hatch_build.py federated/native/kernel.c

$(VENV)/.runtime: requirements.lock $(BUILT)
	$(call install,requirements.lock,$@)

$(VENV)/.dev: requirements-dev.lock $(BUILT)
	$(call install,requirements-dev.lock,$@)
	@touch $(VENV)/.runtime

setup: $(VENV)/.dev ## virtual environment with everything the tests need

demo: $(VENV)/.runtime ## set up and run the main job: three hospitals, an exchange, a buyer, an auditor
	@$(BIN)/hdex demo $(ARGS)

test: $(VENV)/.dev ## checks and all tests; skips are printed with their reason
	@start=$$SECONDS; $(MAKE) --no-print-directory check >$(VENV)/check.log 2>&1 & checking=$$!; \
	$(BIN)/python -m pytest -q -rs -n 4 --dist loadgroup --max-worker-restart 0 $(ARGS); code=$$?; \
	wait $$checking || code=1; cat $(VENV)/check.log; echo "make test: $$((SECONDS - start)) s"; exit $$code

check: $(VENV)/.dev ## house rules: ruff, mypy --strict, import contracts, budgets, generated code
	@start=$$SECONDS; set -eo pipefail; \
	$(BIN)/ruff check -q .; $(BIN)/ruff format --check -q .; $(BIN)/lint-imports | tail -n 4; $(BIN)/mypy; \
	$(BIN)/python -m pytest -q tests/test_house.py -p no:cacheprovider; echo "make check: $$((SECONDS - start)) s"

lint: $(VENV)/.dev ## rewrite what ruff can mend
	@$(BIN)/ruff check -q --fix .; $(BIN)/ruff format -q .

proto: $(VENV)/.dev ## generate proto/ code and the OpenAPI documents again
	@$(BIN)/python proto/generate.py
	@$(BIN)/python docs/openapi.py

contracts: ## compile the Solidity contract again and compare (needs node)
	@ledger/hdex/ledger/contracts/compile.sh --check

bench: $(VENV)/.dev ## measure; rewrites bench/results
	@for b in core demo deid; do $(BIN)/python bench/bench_$$b.py || exit 1; done

$(PEERS)/.done: bench/requirements.lock
	@echo "setting up: the benchmarks' peers into $(PEERS)"; \
	test -x $(PEERS)/bin/python || $(if $(UV),$(UV) venv --quiet --python $(PYTHON) $(PEERS),$(PYTHON) -m venv $(PEERS)) || exit 1; \
	$(if $(UV),$(UV) pip install --quiet --python $(PEERS)/bin/python,$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check) --require-hashes -r $< || exit 1; \
	touch $@

bench-deid: $(VENV)/.dev $(PEERS)/.done ## measure de-identification beside its peers
	@$(BIN)/python bench/bench_deid.py

bench-ledger: $(VENV)/.dev ## measure every bar of the ledger beside a chain and its peers, at 10^4 to 10^6 events
	@$(BIN)/python bench/bench_ledger.py

bench-federated: $(VENV)/.dev $(PEERS)/.done ## measure studies beside statsmodels and lifelines, Paillier beside peers, rounds beside stock Flower
	@$(BIN)/python bench/bench_federated.py && $(BIN)/python bench/bench_federated_grids.py

bench-catalog: $(VENV)/.dev $(PEERS)/.done ## measure search, negotiations, delivery beside a copy and age, pages, fingerprint, Shapley split
	@code=0; for b in search negotiations delivery pages fingerprint shapley; do \
		echo "bench_$$b"; $(BIN)/python bench/bench_$$b.py || code=1; done; \
	$(BIN)/python bench/catalog_bars.py; exit $$code

soak: $(VENV)/.dev ## the long forms of the fault and disclosure tests, and the ledger at 10^7 events
	@HDEX_SOAK=1 $(BIN)/python -m pytest -q -rs tests/faults tests/node/test_study_process.py \
		tests/journeys/test_deaths.py tests/journeys/test_study_deaths.py tests/journeys/test_demo.py \
		tests/journeys/test_demo_data.py \
		tests/journeys/test_region.py tests/node/test_study_superlink.py tests/journeys/test_dsp.py \
		tests/federated/test_disclosure_register.py tests/federated/test_disclosure_cells.py \
		tests/catalog/test_bench_pages.py tests/node/test_openapi.py tests/node/test_views.py \
		tests/node/test_harmonize.py tests/pages --timeout 3600 $(ARGS)
	@HDEX_BENCH_EVENTS=10000000 $(BIN)/python bench/bench_ledger.py

clean: ## remove what the targets above made
	@rm -rf $(VENV) $(PEERS) .mypy_cache* .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
