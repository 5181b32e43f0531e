# Fairlead's commands. CI runs these same targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
MEMBERS := proto services/service_runtime services/gateway services/preprocessing services/inference services/monitoring services/training local_stack sandbox
# These need more than the services do.
DEV_MEMBERS := loadtests delivery observability
SERVICES := gateway preprocessing inference monitoring

##@ Run
.PHONY: up down logs
up: $(VENV)/.serve ## Start everything, send one picture through it, stay (DETACH=1: return)
	@$(BIN)/python -m local_stack up $(if $(DETACH),--detach)

down: $(VENV)/.serve ## Stop what make up DETACH=1 started
	@$(BIN)/python -m local_stack down

logs: $(VENV)/.serve ## Follow the logs of all services
	@$(BIN)/python -m local_stack logs

##@ Test
.PHONY: test check format
test: setup ## Every test that needs neither root nor a cluster
	@tools/test

check: setup ## Format, lint, types, protos, manifests, workflows, spelling
	@tools/check

format: setup ## Rewrite the sources in the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

##@ Cluster
.PHONY: cluster cluster-status cluster-down doctor rollouts token renew
cluster: setup ## A real one-node Kubernetes with Argo CD, or what is missing of it
	@$(BIN)/python -m sandbox up
	@$(BIN)/python -m delivery.push install

cluster-status: $(VENV)/.serve ## What of it runs, and what is wrong with it
	@$(BIN)/python -m sandbox status

cluster-down: $(VENV)/.serve ## Remove it and everything of it
	@$(BIN)/python -m sandbox down

doctor: $(VENV)/.serve ## Look at this machine and the cluster, say what to type
	@$(BIN)/python -m sandbox doctor

rollouts: setup ## Every rollout, its weight and its analysis, live (ONCE=1: print and end; WATCH=gateway: to its end)
	@$(BIN)/python -m delivery.rollouts $(if $(ONCE),--once) $(if $(WATCH),--wait "$(WATCH)")

SCOPES ?= predict feedback
SUBJECT ?= me
TTL ?= 1h
token: setup ## Print a token for its door (SCOPES="predict feedback" SUBJECT=me TTL=1h; with make -s nothing else)
	@$(BIN)/python -m delivery.door token --scopes "$(SCOPES)" --subject "$(SUBJECT)" --ttl "$(TTL)"

renew: setup ## A new certificate for its door, as before the old one expires
	@$(BIN)/python -m delivery.door renew

##@ End to end
.PHONY: e2e e2e-all
e2e: setup ## The core stories on the cluster of make cluster, some seven minutes
	@tools/e2e -m core

e2e-all: setup ## Every story on it
	@tools/e2e

##@ Images
.PHONY: images images-test
IMAGES ?=
images: setup ## Container images of the services whose inputs changed, with their bills of materials (IMAGES=gateway)
	@$(BIN)/python -m delivery.images $(IMAGES) $(if $(AGAIN),--again)

images-test: setup ## Run the images as pods would, and build them twice; needs root
	@$(BIN)/pytest -q -m images tests/images

##@ Release
.PHONY: diff gate promote rollback verify
BASE ?= origin/main
diff: setup ## What the work tree changes in every environment, rendered (BASE=origin/main)
	@$(BIN)/python -m delivery.changes diff --base "$(BASE)"

gate: setup ## Refuse a change of several environments at once, unless it says why (LABELS=all-environments)
	@$(BIN)/python -m delivery.changes gate --base "$(BASE)" --labels "$(LABELS)"

promote: setup ## Copy a release to the next environment, as a pull request (SERVICE=gateway FROM=dev TO=staging)
	@$(BIN)/python -m delivery.promotion promote --service "$(SERVICE)" --from "$(FROM)" --to "$(TO)" $(if $(PRINT),--print)

rollback: setup ## Bring back what ran before, as a pull request (SERVICE=gateway ENV=prod)
	@$(BIN)/python -m delivery.promotion rollback --service "$(SERVICE)" --environment "$(ENV)" --why "$(WHY)" $(if $(PRINT),--print)

verify: setup ## Who signed what an environment runs: only the release workflow may have (SERVICE=gateway ENV=dev)
	@$(BIN)/python -m delivery.release verify --service "$(or $(SERVICE),all)" --environment "$(or $(ENV),dev)"

##@ Measure
.PHONY: load bench
PROFILE ?= smoke
load: setup ## Locust against a running stack, judged by loadtests/slo.yaml (PROFILE=smoke)
	$(BIN)/python -m loadtests run --profile $(PROFILE)

bench: setup ## Side-by-side measurements into loadtests/bench/results.md
	loadtests/bench/run

##@ Change
.PHONY: setup proto train lock
setup: $(VENV)/.dev ## Install everything that development needs into .venv

proto: setup ## Regenerate the typed stubs from proto/
	$(BIN)/python proto/generate.py

train: setup ## Train digits, write its model package and release record
	$(BIN)/python -m training --out models

lock: $(UV) ## Resolve requirements/ anew from the pyproject files
	tools/lock

.PHONY: help
help: ## Print this
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV): requirements/bootstrap.txt
	@$(PYTHON) tools/make_venv.py $(VENV) requirements/bootstrap.txt

$(VENV)/.serve: $(UV) $(SERVICES:%=requirements/%.txt) $(MEMBERS:%=%/pyproject.toml)
	@echo "Installing the services"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes $(SERVICES:%=-r requirements/%.txt)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=-e %)
	@touch $@

$(VENV)/.dev: $(VENV)/.serve requirements/all.txt $(DEV_MEMBERS:%=%/pyproject.toml)
	@echo "Installing what tests and checks need"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/all.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(DEV_MEMBERS:%=-e %)
	@touch $@
