# make demo and make test do all set-up on a fresh Debian-like machine; a second call does only what
# changed. Every stage of `make test` can be called by its own name.
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
PYTHON := .venv/bin/python
CLANG ?= clang++-22
STAGE := .ci/stage
CXX_FILES = $(shell find cpp bindings tests_cpp benchmarks examples -name '*.cpp' -o -name '*.hpp')
PY_FOLDERS = python tests_py benchmarks examples cpp/cmake

# Objects are shared between clones and build folders (without these two, every clone misses).
export CMAKE_C_COMPILER_LAUNCHER := ccache
export CMAKE_CXX_COMPILER_LAUNCHER := ccache
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

MOLD := -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=mold -DCMAKE_MODULE_LINKER_FLAGS=-fuse-ld=mold
CONFIGURE := cmake -G Ninja -S . -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" $(MOLD)
CTEST := ctest --output-on-failure --no-label-summary --no-tests=error -j $(JOBS)
PYTEST := $(PYTHON) -m pytest
# What reads or damages the files themselves stays out.
PG_TESTS := tests_py/crash/test_edges.py tests_py/crash/test_events.py $(addprefix \
  tests_py/api/test_,$(addsuffix .py,composites durable_calls events event_edges idempotency \
  workflows runtime traces contracts)) $(addprefix --deselect tests_py/api/test_, \
  event_edges.py::test_a_log_that_cannot_be_read_fails_the_step \
  runtime.py::test_a_store_is_a_path_of_any_kind \
  runtime.py::test_a_foreign_file_is_left_as_it_was \
  composites.py::test_a_run_without_a_lock_goes_on) --deselect \
  "tests_py/crash/test_events.py::test_every_acknowledged_event_survives_kills_at_random_points[200]"

##@ For users
help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Install system packages and make .venv
	@.ci/setup

demo: module  ## Index the standard library, with a worker killed half-way (STORE=postgresql://… for another store)
	$(PYTHON) examples/library_index/run.py $(if $(STORE),--store "$(STORE)")

module: setup  ## Build the Python module for development (build/dev) and install it into .venv
	@$(STAGE) module $(MAKE) raw-module

build: module  ## The same, and the C++ tests
	@$(STAGE) build cmake --build build/dev

wheel: setup  ## Build the release wheel into dist/
	@$(STAGE) wheel .ci/wheel

bench: wheel  ## Run the benchmarks on the release wheel, in an environment of its own
	@$(STAGE) bench-setup .ci/install-wheel build/bench $(addprefix -r ,$(wildcard benchmarks/requirements.txt))
	@$(STAGE) bench-native $(MAKE) raw-bench-native
	build/bench/bin/python benchmarks/run.py

docs: module  ## Run every example that README, docs, docstrings and examples/ show
	@$(STAGE) docs $(PYTEST) tests_py/docs tests_py/examples

clean:  ## Remove what builds made; .venv and caches stay
	rm -rf build dist

##@ Checks
# The last stage prints its own output, so that its closing line is the last one.
test: setup lint test-cpp test-twice test-py test-pg tidy test-asan test-tsan bench-smoke wheel-smoke test-shutdown  ## Everything, quickest first

test-fast: setup build  ## C++ and Python tests without the slow ones
	@$(STAGE) test-fast bash -c '$(CTEST) --test-dir build/dev && \
	  $(PYTEST) -n $(JOBS) -m "not shutdown and not slow"'

lint: setup  ## Layout, types, layering and sizes
	@$(STAGE) lint $(MAKE) raw-lint

test-cpp: build  ## GoogleTest
	@$(STAGE) test-cpp $(CTEST) --test-dir build/dev

# The tests left out count attempts, or compare numbers that a database may skip.
test-twice: build  ## The tests of what is above the store, with every write run twice
	@$(STAGE) test-twice env CLEW_TEST_TWICE=1 $(CTEST) --test-dir build/dev \
	  -L "capability|process|effect|session|workflow|runtime|testkit" \
	  -E "what_is_being_written_is_still_pending|Disk.a_disk_that_is_full_for_a_moment|Programs[.]"

test-py: module  ## pytest
	@$(STAGE) test-py $(PYTEST) -n $(JOBS) -m "not shutdown" --ignore tests_py/codebase

test-pg: module  ## The tests of files that matter most, on PostgreSQL
	@$(STAGE) test-pg env CLEW_TEST_STORE=postgresql $(PYTEST) -n $(JOBS) $(PG_TESTS)

test-asan: setup  ## All C++ tests under address and undefined-behaviour sanitizers
	@$(STAGE) test-asan $(MAKE) raw-sanitize NAME=asan SANITIZER=address,undefined LAYERS=

test-tsan: setup  ## The C++ tests of what has threads under the thread sanitizer
	@$(STAGE) test-tsan $(MAKE) raw-sanitize NAME=tsan SANITIZER=thread \
	  LAYERS="base;exec;store;capability;workflow;wasm;runtime;testkit"

tidy: module  ## clang-tidy and Clang's lock analysis of what changed in core and bindings
	@$(STAGE) tidy .ci/tidy build/dev $(JOBS)

test-locks: setup  ## The lock analysis of the bindings alone
	@$(STAGE) test-locks $(MAKE) raw-locks

bench-smoke: build  ## Every benchmark once, briefly
	@$(STAGE) bench-smoke $(PYTHON) benchmarks/run.py --smoke --programs build/dev

wheel-smoke: wheel  ## Install the wheel into an empty environment and use it
	@$(STAGE) wheel-smoke bash -c '.ci/install-wheel build/smoke && cd build/smoke && \
	  bin/python -W error $(CURDIR)/tests_py/packaging/smoke.py'

test-shutdown: module  ## Scripts in child processes, each ended in every way, 20 times
	@$(PYTEST) -n $(JOBS) -m shutdown

sanitize: test-asan test-tsan  ## Both sanitizers

stress: build  ## All tests over and over with new seeds (ROUNDS=10), the nine loads at full length
	@export CLEW_STRESS=1; for round in $$(seq $${ROUNDS:-10}); do \
	  export CLEW_SEED=$$RANDOM$$RANDOM; echo "round $$round of $${ROUNDS:-10}, CLEW_SEED=$$CLEW_SEED"; \
	  $(STAGE) stress bash -c '$(CTEST) --test-dir build/dev && \
	    $(PYTEST) -n $(JOBS) --ignore tests_py/codebase'; done

format:  ## Lay out all sources
	@clang-format -i $(CXX_FILES)
	@ruff format -q $(PY_FOLDERS)
	@ruff check -q --fix $(PY_FOLDERS)

# What the stages above run; their output goes to build/logs.
# Not rebuilt at import: tests start many processes, and none of them should look for changes.
raw-module:
	pip install -q --no-build-isolation -e . -Ceditable.rebuild=false \
	  -Ccmake.define.CLEW_TESTS=ON -Ccmake.define.CLEW_BENCH=ON $(MOLD:-D%=-Ccmake.define.%)

raw-lint:
	clang-format --dry-run -Werror $(CXX_FILES)
	ruff check $(PY_FOLDERS)
	ruff format --check $(PY_FOLDERS)
	mypy
	$(PYTEST) --noconftest -p no:clew.pytest_plugin tests_py/codebase

raw-sanitize:
	$(CONFIGURE) -B build/$(NAME) -DCMAKE_CXX_COMPILER=$(CLANG) -DCLEW_SANITIZE=$(SANITIZER) -DCLEW_TEST_LAYERS="$(LAYERS)"
	cmake --build build/$(NAME)
	$(CTEST) --test-dir build/$(NAME)

# As the wheel is built.
raw-bench-native:
	cmake -G Ninja -S . -B build/bench-native -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" \
	  -DCLEW_LTO=ON -DCLEW_TESTS=OFF -DCLEW_BENCH=ON
	cmake --build build/bench-native

raw-locks:
	find bindings -name '*.cpp' -print0 | xargs -0 -n 1 -P $(JOBS) $(CLANG) -std=c++20 -fsyntax-only \
	  -Wthread-safety -Werror -DFMT_HEADER_ONLY -DCLEW_VERSION='"0"' -Icpp -I. \
	  $$($(PYTHON) -m pybind11 --includes)

.PHONY: help setup demo module build wheel bench docs clean test test-fast lint test-cpp test-twice test-py test-pg tidy test-asan \
  test-tsan test-locks bench-smoke wheel-smoke test-shutdown sanitize stress format \
  raw-module raw-lint raw-sanitize raw-bench-native raw-locks
