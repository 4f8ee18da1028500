# Tessera. `make` alone tells what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PORT ?= 7071
WORKERS ?= 1
DATA ?= .tessera
STORE ?= embedded
BUS ?= embedded
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
# Microsoft's emulator looks at no key, and wants this word in its place.
EMULATED_BUS := Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true

# $(call flag,NAME,--option): the option where NAME says yes, nothing where it says no, and an error where it says neither.
flag = $(if $(filter 1 yes true,$($(1))),$(2),$(if $(filter-out 0 no false,$($(1))),$(error $(1)=$($(1)): say 1 or 0)))

.PHONY: help setup run demo import deadletters test foreign check format bench plan bicep package smoke emulators emulators-end contract contract-ran containers openapi torture lock clean-data clean

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.txt .python-version
	@./tools/setup.sh $(VENV)
	@touch $@

setup: $(READY) ## Make .venv with everything in requirements-dev.txt (other targets do it by themselves)

run: $(READY) ## Start Tessera here, with demo data (PORT=7071 WORKERS=1 DATA=.tessera; other than usual: STORE=cosmos BUS=servicebus TELEMETRY=1 OPEN=1)
	@$(PYTHON) -m local.run --port $(PORT) --workers $(WORKERS) --data $(DATA) --store "$(STORE)" --bus "$(BUS)" $(call flag,TELEMETRY,--telemetry) $(call flag,OPEN,--anonymous-browsing)

demo: $(READY) ## Sell a ticket from sign-in to the door, step by step, on a Tessera of its own (STORE=cosmos BUS=servicebus)
	@$(PYTHON) -m local.demo --store "$(STORE)" --bus "$(BUS)"

import: $(READY) ## Event documents into a running Tessera: FILE= CREATOR=mail@address DRY_RUN=1 KEEP_GOING=1 (docs/importing.md)
	@# The shell reads FILE and CREATOR from its environment, so that they may contain any quotes.
	@$(if $(FILE),,$(error Say which file: make import FILE=docs/samples/events.json))$(PYTHON) -m local.importer "$$FILE" \
	  --url http://127.0.0.1:$(PORT) --sign-in http://127.0.0.1:$$(( $(PORT) + 2 )) $${CREATOR:+--as "$$CREATOR"} $(call flag,DRY_RUN,--dry-run) \
	  $(call flag,KEEP_GOING,--keep-going) $(ARGS)

deadletters: $(READY) ## Messages nobody could handle: QUEUE= REASON= TYPE= NUMBER= ALL=1 REPLAY=1 DISCARD=1 WHY= DRY_RUN=1 KEY= (ARGS=--help)
	@# The shell reads these from its environment, so that a reason may contain any quotes.
	@$(PYTHON) -m local.deadletters --port $(PORT) --data $(DATA) $${QUEUE:+--queue "$$QUEUE"} \
	  $${REASON:+--reason "$$REASON"} $${TYPE:+--type "$$TYPE"} $(foreach n,$(NUMBER),--number $(n)) $(call flag,ALL,--all) \
	  $(call flag,REPLAY,--replay) $(call flag,DISCARD,--discard) $${WHY:+--why "$$WHY"} $(call flag,DRY_RUN,--dry-run) \
	  $${KEY:+--key "$$KEY"} $(ARGS)

test: $(READY) ## All tests (about 15 minutes on two cores)
	@$(PYTHON) -m pytest -q -n 2 --dist loadgroup

foreign: $(READY) ## What nobody here wrote beside ours: a Cosmos DB double, and Microsoft's reader of Kusto queries (needs node and npm)
	@cd tests/foreign && npm ci --ignore-scripts --no-audit --no-fund --silent
	@$(PYTHON) -m pytest -q tests/foreign/cosmosdb_server.py tests/foreign/kusto_language.py

check: $(READY) ## Format, lint, types, import contracts
	@$(VENV)/bin/ruff format --check --quiet . && $(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy shared functions local tests bench tools function_app.py
	@set -o pipefail; $(VENV)/bin/lint-imports --no-cache | tail -n 12

format: $(READY) ## Format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

bench: $(READY) ## Measure, and write bench/results/latest.json (about 10 minutes)
	@$(PYTHON) -m bench.main

plan: $(READY) ## What a deployment would declare, worked out without Azure (ENVIRONMENT=dev; FILE=main.bicepparam)
	@$(PYTHON) -m tools.plan --environment "$(or $(ENVIRONMENT),$(AZURE_ENV_NAME),dev)" --file "$(or $(FILE),main.bicepparam)"

bicep: ## Build and lint infra/ with Microsoft's compiler; a warning is a failure (needs `az bicep install`)
	@./tools/bicep_built.sh infra/vault infra/main

package: $(READY) ## The zip that Azure runs, dist/tessera.zip, with the packages it needs; beside it version, checksum, functions
	@$(PYTHON) -m tools.delivery package

smoke: $(READY) ## Sell a ticket on the Tessera of `make run` and refund it, count its functions, find its trace (PORT= DATA=; without `make run TELEMETRY=1`: TELEMETRY=0)
	@$(PYTHON) -m tools.delivery smoke --here --port $(PORT) --data $(DATA) $(call flag,TELEMETRY)$(if $(filter 0 no false,$(TELEMETRY)),--no-telemetry) $(ARGS)

emulators: $(READY) ## Microsoft's emulators of Cosmos DB and Service Bus, in Docker, with our containers and queues
	@$(PYTHON) -m tools.delivery emulators
	@docker compose --env-file .containers/env up --detach --wait cosmos servicebus
	@$(PYTHON) -m tools.delivery emulators --endpoint https://localhost:8081 --bus "$(EMULATED_BUS)"

emulators-end: ## End them, and forget what they hold
	@docker compose --env-file .containers/env --profile app down --volumes

contract: $(READY) ## The contract suites against the emulators that `make emulators` started (out/contract.xml)
	@rm -f out/contract.xml
	@set -a && . .containers/env && SSL_CERT_FILE=$(CURDIR)/.containers/trusted.pem COSMOS_ENDPOINT=https://localhost:8081 \
	  SERVICEBUS_CONNECTION="$(EMULATED_BUS)" \
	  $(PYTHON) -m pytest -q tests/contract -k "cosmos-account or namespace" --junitxml out/contract.xml

contract-ran: $(READY) ## Whether `make contract` ran any test at all
	@$(PYTHON) -m tools.contract_ran out/contract.xml

containers: $(READY) ## The images of all services, in Docker (docs/containers.md)
	@$(PYTHON) -m tools.delivery emulators
	@docker compose --env-file .containers/env --profile app build

openapi: $(READY) ## The API as API Management imports it, infra/openapi.json: again after every change of an endpoint
	@$(PYTHON) -m local.describe

torture: $(READY) ## The fault, misuse and property tests with many more rounds, with a progress bar (about an hour)
	@$(PYTHON) -m tests.torture

lock: $(READY) ## Pin requirements*.txt anew from requirements*.in (needs uv)
	@uv pip compile --python-version 3.13 --generate-hashes --no-emit-index-url -q requirements.in -o requirements.txt
	@uv pip compile --python-version 3.13 --generate-hashes --no-emit-index-url -q requirements-dev.in -o requirements-dev.txt

clean-data: ## Delete the local data: orders, mails, people, secrets
	@rm -rf $(DATA)

clean: clean-data ## Delete everything that was made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist out .containers
