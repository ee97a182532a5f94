# `make demo` and `make test` work on a fresh machine with python3 (3.11 to 3.13), make and gcc.
# Everything is installed into .venv; emulators come from apt when you are root on Debian or Ubuntu.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
WORKERS ?= 2
ACCURACY_ARGS ?= --compiled --json benchmarks/results/accuracy.json
NPU_ARGS ?= --json benchmarks/results/npu.json
PRUNING_ARGS ?= --json benchmarks/results/pruning.json --plots docs
BENCH_ARGS ?= --untuned --json benchmarks/results/untuned.json
TUNED_TARGETS ?= host cortex-a76 cortex-m4
SWEEPS ?= build/sweeps
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-zoo test-gpu fuzz lint bench bench-tuning bench-accuracy bench-npu clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with everything; does nothing when it is up to date
	@.ci/install-emulators

# PyTorch first and by itself, so that the machine's own choice of its build (CPU or CUDA) is kept.
$(STAMP): pyproject.toml .ci/make-venv
	@.ci/make-venv $(VENV)
	$(PIP) install --quiet $(TORCH)
	$(PIP) install --quiet --editable '.[dev,torch,cross]'
	@touch $@

demo: setup ## train a small network, compile it for three targets, execute all three
	@$(BIN)/edgecompile demo

test: setup lint ## checks and the whole test suite
	$(BIN)/pytest -n $(WORKERS) -m "not zoo"

test-zoo: setup ## the tests on trained models; EDGECOMPILE_ZOO names their folder
	$(BIN)/pytest -n $(WORKERS) -m zoo

test-gpu: setup ## the tests that need an NVIDIA GPU, on a machine that has one
	$(BIN)/pytest -m gpu tests/gpu

fuzz: setup ## property tests with examples that differ each time; FUZZ_ARGS selects some, e.g. tests/kernels
	$(BIN)/pytest -n $(WORKERS) --hypothesis-profile=random -m "not zoo and not conformance" $(FUZZ_ARGS)

lint: setup ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## measure speed and size and render docs/performance.md; BENCH_ARGS="--help" tells more
	$(BIN)/python -m benchmarks.run $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.page

bench-tuning: setup ## compare tuned networks with other runtimes, and how soon searches find what is fast
	$(PIP) install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.run --core --targets host --json benchmarks/results/tuned.json
	$(BIN)/python -m benchmarks.tuning_time --json benchmarks/results/tuning_time.json
	for target in $(TUNED_TARGETS); do \
	$(BIN)/python -m benchmarks.sweep --target $$target --records $(SWEEPS)/$$target $(SWEEP_ARGS) && \
	$(BIN)/python -m benchmarks.tuning --target $$target --sweep $(SWEEPS)/$$target \
	--json benchmarks/results/tuning/$$target.json || exit 1; done
	$(BIN)/python -m benchmarks.tuning_page
	$(BIN)/python -m benchmarks.page

bench-accuracy: setup ## what quantization and pruning cost in accuracy; EDGECOMPILE_ZOO names models and data
	$(BIN)/python -m benchmarks.calibration --json benchmarks/results/calibration.json; costs=$$?; \
	$(BIN)/python -m benchmarks.accuracy $(ACCURACY_ARGS); scores=$$?; \
	$(BIN)/python -m benchmarks.pruning $(PRUNING_ARGS); pruned=$$?; \
	$(BIN)/python -m benchmarks.pruning_page; \
	$(BIN)/python -m benchmarks.accuracy_page && exit $$((costs | scores | pruned))

bench-npu: setup ## networks on NPUs, in emulators and reference models; EDGECOMPILE_ZOO names models and data
	$(BIN)/python -m benchmarks.npu $(NPU_ARGS); met=$$?; $(BIN)/python -m benchmarks.npu_page && exit $$met

clean: ## remove .venv and everything generated
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
