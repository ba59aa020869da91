# The commands a person types; CI calls the same ones. Nothing but Python 3.11+, make and a package
# index is needed: uv comes by pip into .venv-bootstrap, everything else by uv into .venv.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$python; break; }; done)
UV_VERSION := 0.13.9
UV := .venv-bootstrap/bin/uv
SYNC := UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --quiet --inexact --python '$(PYTHON)'
RUN := .venv/bin

.PHONY: help failover lab test lint clean
.NOTPARALLEL:

help:
	@echo 'make failover   lose a region under load and recover it, in a lab on this machine'
	@echo 'make lab        start a lab and leave it running; then: .venv/bin/python -m lab status'
	@echo 'make test       everything that CI runs'
	@echo 'make lint       the part of it that runs no tests'
	@echo 'make clean      remove what the others installed'

failover: .venv/.synced-lab
	@$(RUN)/python -m lab failover $(ARGS)

lab: .venv/.synced-lab
	@$(RUN)/python -m lab up $(ARGS)

test: lint
	@echo '== pytest'
	@$(RUN)/pytest -q $(ARGS)

lint: .venv/.synced-dev
	@echo '== ruff check'
	@$(RUN)/ruff check --quiet
	@echo '== ruff format'
	@$(RUN)/ruff format --quiet --check
	@echo '== pyright'
	@$(RUN)/pyright
	@echo '== import-linter'
	@$(RUN)/lint-imports
	@echo '== codespell'
	@git ls-files -z | grep -zv '^uv.lock$$' | xargs -0 $(RUN)/codespell

clean:
	rm -rf .venv .venv-bootstrap .lab

# What runs a lab: the stacks' programs and the lab itself, without the tools of development.
.venv/.synced-lab: uv.lock pyproject.toml | $(UV)
	@echo 'installing what a lab needs into .venv'
	@$(SYNC) --no-default-groups --group infra --group lab
	@touch $@

.venv/.synced-dev: uv.lock pyproject.toml | $(UV)
	@echo 'installing what development needs into .venv'
	@$(SYNC)
	@touch $@ .venv/.synced-lab

$(UV):
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed; install it, or: make PYTHON=/path/to/it' >&2; exit 1; }
	@rm -rf .venv-bootstrap
	@$(PYTHON) -m venv .venv-bootstrap >/dev/null 2>&1 \
		&& .venv-bootstrap/bin/python -m pip install --quiet uv==$(UV_VERSION) \
		|| $(PYTHON) -m pip install --quiet --target .venv-bootstrap uv==$(UV_VERSION)
