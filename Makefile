# Needs Python >= 3.11, a C compiler, cargo and make; everything else is set up below this folder.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
NATIVE := $(wildcard native/src/*.rs) native/Cargo.toml native/Cargo.lock
SOURCES := src tests bench demo fuzz

.PHONY: setup demo test lint fmt ci bench fuzz crash once sim clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	@test -n "$(PYTHON)" || { echo "missing: Python 3.11 or newer, as python3 on the PATH"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "missing: the venv module of Python (Debian: python3-venv)"; exit 1; }
	@command -v cc >/dev/null || { echo "missing: a C compiler, as cc on the PATH (Debian: gcc)"; exit 1; }
	@command -v cargo >/dev/null || { echo "missing: cargo, the Rust toolchain (rustup.rs, or Debian: cargo)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "set-up: packages and the native crate, some minutes the first time"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# The main job on real input: three nodes over TLS, used through standbys, stepped down and killed under load. KEEP=1 leaves them running.
demo: $(STAMP)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

test: $(STAMP)
	@$(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd native && cargo fmt --check && cargo clippy --release --locked -- -D warnings

fmt: $(STAMP)
	$(BIN)/ruff check --fix $(SOURCES)
	cd native && cargo fmt

ci: test lint

# Ratios side by side in one run. PEER=https://127.0.0.1:8200 PEER_TOKEN=… adds another server; QUICK=1 only shows that it runs.
bench: $(STAMP)
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(PEER),--peer $(PEER) --peer-token $(PEER_TOKEN))

# 500 kills of the server at random instants, each acknowledged request read back. `make test` does 50.
crash: $(STAMP)
	@HOLDFAST_KILLS=500 $(BIN)/pytest tests/crash

# The active node of three killed 1,000 times between "durable" and "answered", every write counted. `make test` does 4.
once: $(STAMP)
	@HOLDFAST_ONCE_KILLS=1000 $(BIN)/pytest tests/crash/test_cluster_once.py

# HOURS of cluster time, simulated by JOBS processes, each run from a seed of its own; a failure is printed with its SEED, which runs it
# once more. OUT=file adds a line of JSON for each run.
sim: $(STAMP)
	@$(BIN)/python -m holdfast.testing $(if $(SEED),--seed $(SEED),--hours $(or $(HOURS),0.5)) $(if $(JOBS),--jobs $(JOBS)) $(if $(OUT),--out $(OUT))

# HOURS of fuzzing on each target.
fuzz: $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@$(BIN)/python -m fuzz --hours $(or $(HOURS),0.25)

clean:
	rm -rf $(VENV) native/target
