# Countersign. Python 3.11 and make are all you need; everything else is set up under .venv and var.
PYTHON ?= python3.11
ifeq (, $(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
BIN := .venv/bin
READY := .venv/ready
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo serve stop test check lint types imports record eval bench migrate campaign shots lock

help: ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

setup: $(READY) ## build the virtual environment from the lock file

demo: $(READY) ## sample distributor, its inbox worked, the console (SERVE=0 ends after the table)
	@COUNTERSIGN_HOME=$(CURDIR)/var/demo $(BIN)/countersign demo

serve: $(READY) ## console, API, agent and clock for your own data, under var
	@$(BIN)/countersign serve

stop: $(READY) ## end what serve and demo started
	@$(BIN)/countersign stop
	@COUNTERSIGN_HOME=$(CURDIR)/var/demo $(BIN)/countersign stop

migrate: $(READY) ## set up or update the database
	@$(BIN)/countersign migrate

test: $(READY) ## all tests but the full campaigns, in parallel
	@$(BIN)/pytest -n $(JOBS) -m "not campaign"

lint: $(READY) ## format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

imports: $(READY) ## who may import whom
	@$(BIN)/lint-imports

check: lint types imports test ## the one meaning of green

campaign: $(READY) ## attacks and races at full size, and a picture of every page in both themes (var/shots)
	@COUNTERSIGN_CAMPAIGN=full $(BIN)/pytest -n $(JOBS) -m "campaign" --timeout 7200 -s
	@COUNTERSIGN_SHOTS=$(CURDIR)/var/shots $(BIN)/pytest -n $(JOBS) tests/browser/test_pages.py

shots: $(READY) ## take the pictures of README anew
	@COUNTERSIGN_PICTURES=$(CURDIR)/tests/browser/pictures $(BIN)/pytest -n 0 tests/browser/test_pictures.py

record: $(READY) ## record a language model's answers anew (OPENAI_BASE_URL names the endpoint)
	@COUNTERSIGN_RECORD=1 $(BIN)/pytest -n 0 tests/agent/test_recorded.py tests/agent/test_recorded_chats.py

eval: $(READY) ## all suites in worlds of their own, with a report; or a labelled inbox: make eval INBOX=path
	@COUNTERSIGN_HOME=$(CURDIR)/var/eval $(BIN)/countersign eval $(or $(INBOX),run all)

bench: $(READY) ## measure speed; prints, judges nothing
	@COUNTERSIGN_HOME=$(CURDIR)/var/bench $(BIN)/countersign bench

lock: $(READY) ## renew requirements.lock from pyproject.toml
	@$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --extra dev --allow-unsafe --no-header -o requirements.lock pyproject.toml
