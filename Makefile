# Every target sets up what it needs in .venv by itself; only Python 3.11 or newer has to be there.

PYTHON ?= python3
DEMO_SECONDS ?= 20
BENCHES ?= core hello bulk idle fanout http2 lua asgi slow_client hostile

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYPROJECTS := $(wildcard packages/*/pyproject.toml)
TYPED := $(wildcard packages/*/src) $(wildcard tests examples bench docs)

# What `make wheels` and the tests of the compiled core build of: all that changes what is in a wheel.
SOURCES := $(wildcard packages/*/pyproject.toml) $(wildcard packages/*/hatch_build.py) $(shell find packages -path '*/src/*' -type f ! -name '*.pyc')
COMPILED := .venv-compiled/bin
INSTALL_COMPILED := $(COMPILED)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo serve test test-compiled coverage soak bench bench-freshness lint docs wheels

help:
	@echo 'make demo    a fast and a slow client of the ticker, side by side, for DEMO_SECONDS=$(DEMO_SECONDS)'
	@echo 'make serve   serves examples/ticker.lua'
	@echo 'make test    lint, types and tests'
	@echo 'make test-compiled   the tests of core, driver and Lua, all compiled'
	@echo 'make wheels  builds the packages into dist/, core, driver and Lua compiled'
	@echo 'make coverage   the tests of core and driver with their coverage, which must not fall'
	@echo 'make soak    the tests that take minutes'
	@echo 'make bench   requests, bytes and messages per CPU second, beside other servers; BENCHES="$(BENCHES)"'
	@echo 'make bench-freshness   how old data is behind a slow link, beside other servers; as root'
	@echo 'make lint    ruff and mypy alone'
	@echo 'make docs    writes the pages of docs/reference that are generated'

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

# The build backend is installed first and building isn't isolated: so its version is pinned as well.
.venv/packages.stamp: .venv/pyvenv.cfg constraints.txt $(PYPROJECTS)
	$(INSTALL) pip
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation --editable 'packages/httpng-core[tls]' --editable packages/httpng-lua \
		--editable packages/httpng-driver --editable 'packages/httpng-asyncio[uvloop]' \
		--editable packages/httpng-trio --editable packages/httpng
	@touch $@

.venv/dev.stamp: .venv/packages.stamp pyproject.toml
	$(INSTALL) --group dev --group frameworks
	@touch $@

.venv/bench.stamp: .venv/packages.stamp pyproject.toml
	$(INSTALL) --group bench
	@touch $@

demo: .venv/packages.stamp
	DEMO_SECONDS=$(DEMO_SECONDS) $(BIN)/python examples/demo.py

serve: .venv/packages.stamp
	$(BIN)/httpng examples/ticker.lua

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)

docs: .venv/packages.stamp
	$(BIN)/python -m docs.generate

test: lint
	$(BIN)/python -m pytest tests -q -m "not soak" --numprocesses auto --dist loadfile

# What is not covered is listed. The floors, lines and branches, only go up (ADR 182). What the command and
# workers run in processes of their own counts too, unless those are killed; `testing` is a tool of tests.
CORE_FLOOR := 100
DRIVER_FLOOR := 95
COVERAGE := $(BIN)/python -m coverage
COUNTED := -q -m "not soak" --numprocesses auto --dist loadfile --cov --cov-branch --cov-report=

coverage: .venv/dev.stamp
	COVERAGE_FILE=$(CURDIR)/.coverage.core $(BIN)/python -m pytest tests/core tests/properties tests/hostile $(COUNTED)
	COVERAGE_FILE=$(CURDIR)/.coverage.driver $(BIN)/python -m pytest tests/driver tests/backends $(COUNTED)
	$(COVERAGE) report --data-file=.coverage.core --include='*/httpng_core/*' --omit='*/httpng_core/testing/*' \
		--fail-under=$(CORE_FLOOR)
	$(COVERAGE) report --data-file=.coverage.driver --include='*/httpng_driver/*' --fail-under=$(DRIVER_FLOOR)

soak: .venv/dev.stamp
	$(BIN)/python -m pytest tests -q -m "soak and not alone" -o faulthandler_timeout=3600 \
		--numprocesses auto --dist loadfile
	$(BIN)/python -m pytest tests -m "soak and alone" -o faulthandler_timeout=3600
	$(BIN)/python -m pytest tests/driver -q -m "not soak" --engine reference --numprocesses auto --dist loadfile

# Core, driver and Lua in dist/ are compiled; that needs a C compiler.
dist/stamp: .venv/dev.stamp $(SOURCES)
	rm -rf dist
	HTTPNG_COMPILE=1 $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir dist $(wildcard packages/*)
	@touch $@

wheels: dist/stamp
	@ls dist/*.whl

# What isn't compiled is installed as editable: what is in dist/ and what is tested differ in nothing but where it is.
.venv-compiled/stamp: dist/stamp
	$(PYTHON) -m venv .venv-compiled
	$(INSTALL_COMPILED) pip
	$(INSTALL_COMPILED) hatchling editables
	$(INSTALL_COMPILED) --group dev
	$(INSTALL_COMPILED) --force-reinstall --no-deps dist/httpng_core-*.whl dist/httpng_driver-*.whl dist/httpng_lua-*.whl
	$(INSTALL_COMPILED) --no-build-isolation 'httpng-core[tls]' httpng-lua --editable 'packages/httpng-asyncio[uvloop]' \
		--editable packages/httpng-trio --editable packages/httpng
	@touch $@

test-compiled: .venv-compiled/stamp
	$(COMPILED)/python -c 'import httpng_core; assert httpng_core.COMPILED'
	$(COMPILED)/python -m pytest tests/core tests/properties tests/driver tests/lua -q -m "not soak" \
		--numprocesses auto --dist loadfile

bench: .venv/bench.stamp
	@# All of them run, whichever misses a target.
	@missed=; for name in $(BENCHES); do PYTHONPATH=. $(BIN)/python bench/$$name.py || missed="$$missed $$name"; done; \
		if [ -n "$$missed" ]; then echo "targets missed:$$missed"; exit 1; fi

bench-freshness: .venv/bench.stamp
	$(BIN)/python -m bench.freshness
