# Everything here needs make and Python 3.11 or newer. The rest comes from pip and stays in .venv and .build.
#
#   make demo         run an agent over the sources of Python's standard library; ARGS="--kill-after 2" kills it midway
#   make demo-vm      run one program in two processes, without an agent around it
#   make test         every check: ruff, pyright, the kernel's own tests, pytest
#   make fmt          format the Python code
#   make kernel       compile the VM kernel and write the parser tables, if their sources changed
#   make bench        measure, side by side with CPython and the peers
#   make dist-check   build wheel and source archive and prove that they hold what they should
#   make clean        remove all that these commands made
#
# Another interpreter: make test PYTHON=python3.13

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$python -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$python; exit; fi; done; echo python3)

VENV := .venv
TABLES := lashlang/syntax/tables.bin
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# The package is built with the requirements that .venv holds anyway, instead of unpacking a second Zig for it.
INSTALL := $(PIP) install --no-build-isolation --editable
BUILD_REQUIREMENTS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])

.PHONY: demo demo-vm test check fmt kernel bench dist-check clean

demo: $(VENV)/installed kernel
	$(PY) examples/agent.py $(ARGS)

demo-vm: $(VENV)/installed kernel
	$(PY) examples/demo.py

test: $(VENV)/installed-dev kernel
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)
	$(PY) -m lashlang.kernel.build --test
	$(PY) -m pytest -n auto --maxprocesses 4

check: test

fmt: $(VENV)/installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

kernel: $(VENV)/installed $(TABLES)
	$(PY) -m lashlang.kernel.build

$(TABLES): grammar/lashlang.lark lashlang/syntax/tables.py lashlang/syntax/kinds.py | $(VENV)/installed
	$(PY) -c 'from lashlang.syntax.tables import CACHE, build_tables; build_tables(CACHE)'

bench: $(VENV)/installed kernel
	$(INSTALL) '.[bench]'
	$(PY) -m benchmarks

dist-check: $(VENV)/installed-dev kernel
	$(PY) .ci/dist_check.py

clean:
	rm -rf $(VENV) .build dist .hypothesis .pytest_cache .ruff_cache
	rm -rf lashlang/kernel/gen lashlang/kernel/*.gen.zig lashlang/kernel/vm.wasm $(TABLES)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml hatch_build.py lashlang/_version.py
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "lash needs Python 3.11 or newer, and $(PYTHON) is not;" \
		"name one with: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install editables $$($(PY) -c '$(BUILD_REQUIREMENTS)')
	$(INSTALL) .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) '.[dev]'
	touch $@
