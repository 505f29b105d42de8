# `make demo` and `make test` need Python 3.11 or later, git and make; everything else is installed into .venv.
PYTHON ?= python3
QUIET := $(if $(CI),--quiet)
DEMO := build/demo/flight_delays
# Linted with the settings here; a baked project lints its own modules.
LINTED = hooks tests benchmarks '$(MACHINERY)'
PROJECT := {{cookiecutter.project_slug}}
MACHINERY := $(PROJECT)/src/machinery

# Without uv, pip installs the pinned one, which installs the rest in seconds.
ifneq ($(shell command -v uv 2>/dev/null),)
CREATE := uv venv $(QUIET) --clear --python "$(PYTHON)" .venv
else
CREATE := "$(PYTHON)" -m venv --clear .venv
GET_UV = awk '/^uv==/ {on = 1} on; on && !/\\$$/ {exit}' requirements-bake.lock > .venv/uv.txt && \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
endif

INSTALL = uv pip install $(QUIET) --python .venv --compile-bytecode --require-hashes -r
PIN := .venv/bin/uv pip compile --quiet --universal --generate-hashes --fork-strategy fewest \
	--no-header --no-annotate --no-emit-index-url pyproject.toml

# Projects baked by demo and test find uv here: they install in 5 s instead of 100.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# By default ruff's cache would be in the project's folder, and cookiecutter would bake it.
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache

.PHONY: help demo test fix check lock

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-6s  %s\n", $$1, $$2}' Makefile

demo: .venv/baker ## Bake the default project, install it, run its pipeline, show the metrics
	@rm -rf build/demo
	.venv/bin/cookiecutter --no-input --default-config --output-dir build/demo .
	$(MAKE) --no-print-directory -C $(DEMO) setup
	$(MAKE) --no-print-directory -C $(DEMO) repro
	@$(MAKE) --no-print-directory -C $(DEMO) show
	@echo "The project is in $(DEMO): its README.md says how to go on."

test: .venv/installed ## Run all tests, which also bake projects and use them as their users would
	.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

fix: .venv/installed ## Fix what tools can: lint, imports, format
	.venv/bin/ruff check --config pyproject.toml --fix $(LINTED)
	.venv/bin/ruff format --config pyproject.toml $(LINTED)

check: .venv/installed ## Check lint, format and types without changing anything
	.venv/bin/ruff check --config pyproject.toml $(LINTED)
	.venv/bin/ruff format --config pyproject.toml --check $(LINTED)
	.venv/bin/mypy
	.venv/bin/mypy --package machinery
	cd '$(MACHINERY)/..' && $(CURDIR)/.venv/bin/lint-imports --no-logo --no-cache $(CURDIR)/pyproject.toml

lock: .venv/installed ## Pin the dependencies of the template and the project again
	@rm -rf build/lock
	.venv/bin/cookiecutter --no-input --default-config --output-dir build/lock . >/dev/null
	$(MAKE) --no-print-directory -C build/lock/flight_delays lock
	cp build/lock/flight_delays/requirements*.lock '{{cookiecutter.project_slug}}'
	$(PIN) --group dev --constraint '$(PROJECT)/requirements.lock' -o requirements.lock
	$(PIN) --group bake --constraint requirements.lock -o requirements-bake.lock

.venv/bin/python:
	@"$(PYTHON)" -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		'Python 3.11 or later is needed: make demo PYTHON=python3.12 chooses another one.')"
	$(CREATE)

.venv/baker: requirements-bake.lock | .venv/bin/python
	$(GET_UV)
	$(INSTALL) requirements-bake.lock
	@touch $@

.venv/installed: requirements.lock $(PROJECT)/requirements.lock $(PROJECT)/requirements-scale.lock | .venv/baker
	$(INSTALL) requirements.lock -r '$(PROJECT)/requirements.lock' -r '$(PROJECT)/requirements-scale.lock'
	@touch $@
