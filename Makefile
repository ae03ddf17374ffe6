# make run     install what is missing, then start the site (PORT=8001 chooses its port)
# make test    run every test;   make check   read every file;   make clean   remove what these made
SHELL := /bin/sh
PYTHON ?= python3.11
BIN := .venv/bin
# The second start asks no package index for anything: these stamps hold the hash of what was installed.
HASH := $(shell cat constraints.txt pyproject.toml | sha256sum | cut -c1-64)
RUN_STAMP := .venv/installed-run
DEV_STAMP := .venv/installed-dev
TEMPLATES = $(shell find templates chat training chatsite -name '*.html' -not -path '*/node_modules/*')

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHON
ifdef PORT
export CHATSITE_PORT := $(PORT)
endif

.PHONY: run test check clean install install-dev install-tools
.DEFAULT_GOAL := run

# The leash ends the site in order even when make itself is killed.
run: install
	@$(BIN)/python -m chatsite.leash --signal TERM 0 $(BIN)/python manage.py up

test: install-dev install-tools
	$(BIN)/python -m pytest

check: install-dev install-tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djade --check $(TEMPLATES)
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.settings
	$(BIN)/python manage.py check_locale
	$(BIN)/python chat/static/vendor.py --check

# The site's data stays; `make clean DATA=1` removes the default data directory too.
clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache test-artifacts $(if $(DATA),data)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install:
	@test "$$(cat $(RUN_STAMP) 2>/dev/null)" = $(HASH) || .ci/install run $(HASH)

install-dev: install
	@test "$$(cat $(DEV_STAMP) 2>/dev/null)" = $(HASH) || .ci/install dev $(HASH)

install-tools:
	@.ci/install tools
