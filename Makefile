# `make` alone lists the targets. Each target does the set-up it needs; nothing is built twice, and nothing is built
# when its sources have not changed: stamps in .venv/.stamps carry a checksum of what went into each step.

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
ARGS ?=
# Most integration tests wait for ledgers, so a few more than there are cores.
TEST_PROCESSES ?= 4
DEMO_ARGS ?= --tasks 200 --workers 4 --duration 60s
CARGO_DENY_VERSION := 0.20.2

# One release profile in one target directory serves the tests, the demo and the wheels, so the Soroban host is
# compiled once. Point CARGO_TARGET_DIR elsewhere to keep the build across clones.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1
export CARGO_TERM_COLOR ?= auto
unexport PYTHONPATH

checksum = $(firstword $(shell LC_ALL=C find $(1) -type f -not -path '*/target/*' | LC_ALL=C sort | xargs cksum | cksum))

VENV_STAMP := $(STAMPS)/venv-$(firstword $(shell echo '$(CURDIR)' | cksum))
PINS_STAMP := $(STAMPS)/pins-$(call checksum,requirements/dev.txt)
CORE_STAMP := $(STAMPS)/core-$(call checksum,rust/sorofast-core rust/sorofast-py Cargo.toml Cargo.lock pyproject.toml)
SANDBOX_STAMP := $(STAMPS)/sandbox-$(call checksum,rust/sorofast-sandbox Cargo.toml Cargo.lock)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: help
help: ## List the targets
	@echo 'usage: make TARGET [ARGS="…"]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: build ## Make .venv with everything in it: pinned packages, sorofast, sorofast-sandbox

.PHONY: build
build: $(CORE_STAMP) $(SANDBOX_STAMP) ## Compile the Rust parts and install them into .venv

.PHONY: demo
demo: build ## Local network, Redis, engine and an audit, in one command; ARGS are those of `sorofast demo`
	@$(BIN)/sorofast demo $(or $(ARGS),$(DEMO_ARGS))

.PHONY: test
test: build ## Run the Rust tests, then pytest (unit, integration, faults); ARGS go to pytest
	@echo '==> compiling the Rust tests'
	@cargo test --release --locked --no-run -p sorofast-core
	@cargo test --release --locked --no-run -p sorofast-sandbox
	@echo '==> Rust tests'
	@cargo test --release --locked --quiet -p sorofast-core
	@cargo test --release --locked --quiet -p sorofast-sandbox
	@echo "==> the contracts' tests"
	@cargo test --locked --quiet --manifest-path rust/contracts/Cargo.toml
	@echo '==> Python tests'
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal $(ARGS)

.PHONY: faults
faults: build ## All scenes of fleets bent from outside (ten minutes); `make test` has the shortest of each kind
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal --verify tests/faults $(ARGS)

.PHONY: lint
lint: build ## Check formats, lints, types, the stub of the extension, and the house rules
	@echo '==> ruff'
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@echo '==> mypy'
	@$(BIN)/mypy --no-error-summary
	@echo '==> stubtest of sorofast._core'
	@MYPYPATH=python $(BIN)/python -m mypy.stubtest --concise sorofast._core
	@echo '==> rustfmt'
	@cargo fmt --all --check
	@cargo fmt --all --check --manifest-path rust/contracts/Cargo.toml
	@echo '==> clippy'
	@cargo clippy --release --locked --quiet --all-targets -p sorofast-core -- -D warnings
	@cargo clippy --release --locked --quiet --all-targets -p sorofast-py -- -D warnings
	@cargo clippy --release --locked --quiet --all-targets -p sorofast-sandbox -- -D warnings
	@echo '==> house rules'
	@$(BIN)/python -m pytest --quiet --no-header tests/test_tidy.py

.PHONY: verify
verify: build ## The long runs behind the promises (about an hour); ARGS choose some, see scripts/verify.py --help
	@$(BIN)/python scripts/verify.py $(ARGS)

.PHONY: bench
bench: build ## Benchmarks; ARGS go to pytest
	@cargo bench --locked --quiet -p sorofast-core --bench sign
	@$(BIN)/python -m pytest benches/python --benchmark-only $(ARGS)

.PHONY: fuzz
fuzz: ## Fuzz the sandbox, guided by coverage; ARGS: http_body, envelope, transactions or wasm_upload, then seconds
	@scripts/fuzz.sh $(ARGS)

.PHONY: audit
audit: $(STAMPS)/cargo-deny-$(CARGO_DENY_VERSION) ## Check Rust dependencies: bans, licences, sources (builds cargo-deny once)
	@$(BIN)/cargo-deny --workspace check bans licenses sources

.PHONY: fmt
fmt: $(PINS_STAMP) ## Format everything and apply safe lint fixes
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@cargo fmt --all
	@cargo fmt --all --manifest-path rust/contracts/Cargo.toml

.PHONY: wasm
wasm: ## Rebuild the contracts' wasm and say whether the bytes are those committed
	@rust/contracts/rebuild.sh

.PHONY: test-contracts
test-contracts: ## The contracts' own tests, in soroban-sdk's environment
	@cargo test --locked --quiet --manifest-path rust/contracts/Cargo.toml

.PHONY: requirements
requirements: $(VENV_STAMP) ## Compile requirements/dev.in into dev.txt, pinned by hash
	@test -x $(VENV)/.uv/bin/uv || { $(BIN)/python -m venv $(VENV)/.uv && $(VENV)/.uv/bin/pip install --quiet uv; }
	@$(VENV)/.uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header requirements/dev.in --output-file requirements/dev.txt

# What the targets above stand on.

$(VENV_STAMP):
	@echo '==> making $(VENV)'
	@python=$$(scripts/check_tools.sh) && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(PINS_STAMP): $(VENV_STAMP)
	@echo '==> installing the pinned Python packages (a minute)'
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements/dev.txt
	@rm -f $(STAMPS)/pins-* && touch $@

$(CORE_STAMP): $(PINS_STAMP)
	@scripts/check_tools.sh >/dev/null
	@echo '==> compiling sorofast._core and installing sorofast (two minutes the first time)'
	@$(BIN)/maturin develop --release --locked
	@rm -f $(STAMPS)/core-* && touch $@

$(SANDBOX_STAMP): $(PINS_STAMP)
	@scripts/check_tools.sh >/dev/null
	@echo '==> compiling sorofast-sandbox with the Soroban host (several minutes the first time)'
	@$(BIN)/maturin develop --release --locked --manifest-path rust/sorofast-sandbox/Cargo.toml
	@rm -f $(STAMPS)/sandbox-* && touch $@

$(STAMPS)/cargo-deny-$(CARGO_DENY_VERSION): $(VENV_STAMP)
	@echo '==> building cargo-deny $(CARGO_DENY_VERSION) (several minutes, once)'
	@cargo install --quiet --locked --root $(VENV) --version $(CARGO_DENY_VERSION) cargo-deny
	@touch $@
