# `make demo` and `make test` need Python >= 3.11, a C compiler and git; pip fetches the rest
# into .venv. A stamp file in a virtual environment says what is installed there, so that a
# second run does nothing twice. PYTHON=/path/to/python chooses the interpreter of a new one.

PYTHON ?=
BENCH ?= .
# A process costs about 2 s of imports: more than eight of them do not pay for this suite.
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist loadgroup
EXTRAS := report,db,lake,sql,validate,research,ml,search,distributed

BIN := .venv/bin
# Folders too: their time changes when a file in them goes.
SOURCES := CMakeLists.txt pyproject.toml README.md LICENSE \
	$(shell find src python -name __pycache__ -prune -o \( -type f -o -type d \) -print)
STUBBED := $(patsubst src/mrcore/%.pyi,mrcore.%,$(wildcard src/mrcore/*.pyi))
UNDER_ASAN = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) \
	$$(gcc -print-file-name=libubsan.so)" \
	PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: help demo test lint typecheck reference bench bench-check bench-pages instructions \
	instructions-record checked asan fuzz wheel dev clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: .venv/.package  ## install into .venv, then recorded data to a report: no key, no network
	$(BIN)/mrtrade demo

test: .venv/.package .venv/.test  ## the tests; PYTEST_ARGS="-k book" chooses
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.package .venv/.lint  ## ruff, cython-lint, codespell, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src/mrcore
	$(BIN)/codespell
	$(BIN)/lint-imports --no-cache

typecheck: .venv/.package .venv/.test .venv/.lint  ## mypy --strict on mrtrade, stubtest on mrcore
	$(BIN)/mypy
	MYPYPATH=python:src $(BIN)/python -m mypy.stubtest $(STUBBED) --allowlist tests/stubtest_allow.txt

reference: .venv/.package  ## write docs/features.md from the register
	$(BIN)/python -m mrtrade.features.reference docs/features.md

bench: .venv/.package .venv/.bench  ## time the benchmarks here; BENCH=book chooses
	cd benchmarks && ../$(BIN)/asv machine --yes >/dev/null && \
	../$(BIN)/asv run --python=same --show-stderr --bench '$(BENCH)'

bench-check: .venv/.package .venv/.bench  ## see that every benchmark runs
	cd benchmarks && ../$(BIN)/asv machine --yes >/dev/null && ../$(BIN)/asv check --python=same && \
	../$(BIN)/asv run --quick --dry-run --python=same --show-stderr

# Pages show the kernels over the commits whose results lie in .asv (a folder or a link to one).
bench-pages: .venv/.package .venv/.bench  ## time the kernels for HEAD and make pages in .asv/html
	cd benchmarks && ../$(BIN)/asv machine --yes >/dev/null && \
	../$(BIN)/asv run --python=same --show-stderr --bench bench_kernels \
		--set-commit-hash "$$(git rev-parse HEAD)" && \
	../$(BIN)/asv publish

instructions: .venv/.package  ## count instructions of the kernels (valgrind), fail above 3 % more
	$(BIN)/python -m benchmarks.instructions

instructions-record: .venv/.package  ## count them and record them anew
	$(BIN)/python -m benchmarks.instructions --record

checked: .venv-checked/.package .venv-checked/.test  ## core tests, bounds and overflow checked
	.venv-checked/bin/python -m pytest $(PYTEST_ARGS) tests/core

# -s: a sanitizer writes to stderr and ends the process; what pytest had kept would be lost.
# PYTHONMALLOC: Python's own allocator would hide an overrun inside an object from ASan.
# Leaks are off, since the interpreter frees little at exit.
asan: .venv-asan/.package .venv-asan/.test  ## core tests under the address and UB sanitizers
	$(UNDER_ASAN) .venv-asan/bin/python -m pytest $(PYTEST_ARGS) -s tests/core

# In all three builds. A failure prints the command that plays its round again.
fuzz: .venv/.package .venv-checked/.package .venv-asan/.package  ## twelve million random events
	$(BIN)/python -m tests.fuzz 10000000
	.venv-checked/bin/python -m tests.fuzz 1000000 2
	$(UNDER_ASAN) .venv-asan/bin/python -m tests.fuzz 1000000 3

wheel: .venv/.made  ## a wheel for this interpreter, in dist/
	$(BIN)/python -m pip wheel -q --no-deps -w dist .

# Its own environment and build folder: import rebuilds with the ninja and Cython found there.
dev: .venv-dev/.made  ## .venv-dev: editable, a changed .pyx is rebuilt on import
	.venv-dev/bin/python -m pip install -q --group dev
	PATH="$(CURDIR)/.venv-dev/bin:$$PATH" .venv-dev/bin/python -m pip install -q \
		--no-build-isolation -Cbuild-dir=build/dev -Ceditable.rebuild=true -e ".[$(EXTRAS)]"
	@echo "Now: . .venv-dev/bin/activate && pytest"

clean:  ## everything the other targets made
	rm -rf build dist demo .venv .venv-checked .venv-asan .venv-dev .asv \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv-checked/.package: BUILD := -Cbuild-dir=build/checked -Ccmake.define.MRCORE_CHECKED=ON
.venv-asan/.package: BUILD := -Cbuild-dir=build/asan -Ccmake.build-type=RelWithDebInfo \
	"-Ccmake.define.CMAKE_C_FLAGS=$(SANITIZE)"

%/.made:
	@command -v $${CC:-cc} >/dev/null || \
		{ echo "No C compiler found (Debian, Ubuntu: apt install gcc libc6-dev)" >&2; exit 1; }
	@python=$$(PYTHON='$(PYTHON)' tools/find_python) && \
		echo "Making $* with $$($$python --version)" && rm -rf $* && $$python -m venv $*
	@$*/bin/python -m pip install -q --upgrade 'pip>=25.1'
	@touch $@

%/.package: %/.made $(SOURCES)
	@echo "Building and installing mrtrade into $* (the first time takes a minute or two)"
	@$*/bin/python -m pip install -q $(BUILD) '.[$(EXTRAS)]'
	@touch $@

%/.test %/.lint %/.bench: %/.made pyproject.toml
	@$*/bin/python -m pip install -q --group $(patsubst .%,%,$(notdir $@))
	@touch $@
