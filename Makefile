# Needs Python 3.11 or newer, make and a C compiler; each target installs what it needs.
# Choose an interpreter with `make PYTHON=/path/to/python3.12 …`.

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
  $(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# Stamps: a second run installs nothing until pyproject.toml or constraints.txt change.
VENV_READY := $(VENV)/.ready-pip
RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev
DECLARED := pyproject.toml constraints.txt

# What the caller's shell sets must not reach into the environment made here.
unexport PYTHONPATH PYTHONHOME
# Pyright comes from the environment; it shall not look for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# Of the soak: nodes of eight GPUs, nodes behind one relay (0: none), how long; `make bench` runs it shorter.
NODES ?= 1250
RELAY_SIZE ?= 25
MINUTES ?= 60
SOAK_MINUTES ?= 10
SCENARIOS ?= 1000

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-servers outages screenshots bench-telemetry bench-dashboards lint format bench bench-node bench-plant campaign-node campaign-plant validate validate-long nvml proto clean soak campaign-budgets

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup: $(DEV_READY)  ## Install everything for development into .venv

demo: $(RUN_READY)  ## Run the whole system, simulated, and print what it saved (installs no torch)
	$(BIN)/coolcap demo $(ARGS)

test: $(DEV_READY)  ## Run the tests; ARGS="-k lease" passes options to pytest
	$(BIN)/python -m pytest $(ARGS)

test-servers:  ## Install what some tests talk to: databases, Chromium (needs root and apt)
	scripts/install_test_servers.sh

outages: $(DEV_READY)  ## Let a real InfluxDB fail in every way at 10,000 points/s and count rows (20 min)
	$(BIN)/python scripts/outage_campaign.py $(ARGS)

bench-telemetry: $(DEV_READY)  ## Measure what the log of 10,000 GPUs costs the controller (minutes)
	$(BIN)/python scripts/bench_telemetry.py $(ARGS)

bench-dashboards: $(DEV_READY)  ## Time every panel on a week of 1,250 nodes and print the slowest (minutes)
	$(BIN)/python scripts/bench_dashboards.py $(ARGS)

screenshots: $(DEV_READY)  ## Take the pictures of the web console for docs/
	COOLCAP_SCREENSHOTS=$(CURDIR)/docs/images/console $(BIN)/python -m pytest tests/system/console/test_console.py $(ARGS)

lint: $(DEV_READY)  ## Check format, style, types, import direction and the API's compatibility
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	scripts/check_proto.sh $(BIN)

format: $(DEV_READY)  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(DEV_READY)  ## Measure steps per second, policy latency, the allocator, and ten minutes of soak
	$(BIN)/coolcap-train bench $(ARGS)
	$(BIN)/python -m coolcap_agent.soak allocator
	$(BIN)/python -m coolcap_agent.soak fleet --minutes $(SOAK_MINUTES) --relay-size $(RELAY_SIZE)

campaign-node: $(DEV_READY)  ## Kill and break node agents in every known way, and print counts
	PYTHONPATH=tests $(BIN)/python -m support.campaign $(ARGS)

bench-node: $(DEV_READY)  ## Measure CPU time, memory and latency of a node agent with 8 GPUs
	PYTHONPATH=tests $(BIN)/python -m support.node_bench $(ARGS)

campaign-plant: $(DEV_READY)  ## Take plant agents through faults on every protocol, and print counts
	PYTHONPATH=tests $(BIN)/python -m support.plant_campaign $(ARGS)

bench-plant: $(DEV_READY)  ## Poll 500 points over every protocol; time and memory of the agent
	$(BIN)/python scripts/bench_polling.py $(ARGS)

validate: $(DEV_READY)  ## Hold the plant model against published data and physical bounds
	$(BIN)/coolcap-train validate $(ARGS)

validate-long: $(DEV_READY)  ## The same with balances over a year of every site; about an hour
	$(BIN)/coolcap-train validate --long $(ARGS)

soak: $(RUN_READY)  ## Run the controller over 10,000 simulated GPUs for an hour (NODES, RELAY_SIZE, MINUTES)
	$(BIN)/python -m coolcap_agent.soak fleet --nodes $(NODES) --minutes $(MINUTES) --relay-size $(RELAY_SIZE)

campaign-budgets: $(RUN_READY)  ## Try to break power budgets in 1,000 random scenarios (SCENARIOS)
	$(BIN)/python -m coolcap_agent.soak budgets --scenarios $(SCENARIOS)

nvml: $(RUN_READY)  ## Build the simulated libnvidia-ml.so.1 and print where it is (needs gcc)
	$(BIN)/python -m coolcap_agent.nvml_simulator build

proto: $(DEV_READY)  ## Regenerate the gRPC code from the .proto files
	scripts/generate_proto.sh $(BIN) proto

clean:  ## Remove the environment and what runs left behind
	rm -rf .venv build dist out runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# Dependency groups need pip 25.1.
$(VENV_READY):
	@test -n "$(PYTHON)" || { echo "coolcap needs Python 3.11 or newer, and none of python3, \
	python3.11 to python3.13 on PATH is; install one or give PYTHON=/path/to/python" >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(RUN_READY): $(VENV_READY) $(DECLARED)
	@echo "installing coolcap[agent,plant,sim] into $(VENV)"
	$(PIP) --editable '.[agent,plant,sim]'
	@touch $@

$(DEV_READY): $(VENV_READY) $(DECLARED)
	@echo "installing coolcap[all] and the development tools into $(VENV); minutes the first time"
	$(PIP) --editable '.[all]' --group dev
	@touch $(RUN_READY) $@
