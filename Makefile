# Everything that is done with the project. Needs make and Python 3.11 or newer, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP = $(BIN)/python -m pip --quiet --no-input
ARGS ?=

# One thread each: two cores are shared by many processes, and OpenMP loses seconds when they compete.
export OMP_NUM_THREADS := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without byte code every process of the platform recompiles its libraries: great_expectations alone takes 4 s more.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env run test wheel-test test-deploy up-compose down-compose images test-hard lint lint-deploy format docs system-packages sbom audit release-files release rollout remote-rollout bench bench-report evaluate dashboards contract lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Not `env`: while the lock files lack what requirements.in names, `env` refuses.
$(BIN)/uv:
	@$(MAKE) env

env: $(STAMP)  ## Set up .venv from the lock; does nothing when it is up to date

# uv installs in seconds what takes pip minutes. It comes by pip from the same lock; where it can't be had, or can't
# reach the package index that pip is configured for, pip does it all. Both check every hash.
$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Needs Python 3.11 or newer, '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	       "Name another: make env PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements-dev.lock > $(VENV)/uv.lock
	@{ $(PIP) install --require-hashes --requirement $(VENV)/uv.lock && \
	   $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-dev.lock; } || { \
	   echo "uv could not do it; trying pip, which takes minutes" >&2; \
	   $(PIP) install --require-hashes --requirement requirements-dev.lock; }
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

run: env  ## Start the platform (stop with Ctrl-C); ARGS are handed to `lostark up`
	@exec $(BIN)/lostark up $(ARGS)

test: env lint  ## Lint, check the import contracts and run the tests; ARGS are handed to pytest
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/deploy $(ARGS)

wheel-test: env  ## Build the wheel, install it into a fresh environment and run the platform from it
	$(BIN)/python -m pytest tests/wheel $(ARGS)

test-deploy: env  ## Containers, gateway and monitoring, really run (not part of `test`: half an hour)
	$(BIN)/python -m pytest tests/deploy $(ARGS)

# The plugin, or the older command of its own.
COMPOSE = $$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) --file deploy/compose.yaml
PROFILES ?= core monitoring

up-compose:  ## Build the images and start the whole platform in containers; PROFILES="core monitoring"
	@deploy/init
	@$(COMPOSE) $(PROFILES:%=--profile %) up --build --detach --remove-orphans

down-compose:  ## Stop it; data stays in its volumes (ARGS=--volumes deletes them)
	@$(COMPOSE) --profile core --profile monitoring --profile acme --profile demo down $(ARGS)

images:  ## Build the images
	@$(COMPOSE) --profile core --profile acme build

rollout:  ## New images for the running containers, back to the old ones if they are bad; ARGS names a file of images
	@deploy/rollout $(ARGS)

remote-rollout:  ## The same on another machine, through AWS Systems Manager; see deploy/remote-rollout
	@deploy/remote-rollout

sbom: env  ## What each image holds, in CycloneDX, in build/sbom/
	@mkdir -p build/sbom
	@for image in api pipeline model; do $(BIN)/cyclonedx-py requirements deploy/docker/$$image.lock \
	  --pyproject pyproject.toml --output-reproducible --output-file build/sbom/$$image.json || exit 1; done

audit: env  ## Known vulnerabilities of what the images hold; needs the network
	@for image in api pipeline model; do \
	  $(BIN)/pip-audit --disable-pip --require-hashes --requirement deploy/docker/$$image.lock || exit 1; done

release-files: env  ## Wheel and release notes of TAG in build/release/
	@$(BIN)/python .ci/release_files.py "$(TAG)"

release:  ## Publish them on GitHub as TAG
	@gh release create "$(TAG)" --verify-tag --title "$(TAG)" --notes-file build/release/notes.md build/release/*.whl

test-hard: env  ## What takes long: the kill tests at fifty points, and ten minutes of fuzzing with bounds checks
	LOSTARK_KILLS=50 $(BIN)/python -m pytest tests/integration/test_kill_dash_nine.py
	FUZZ_S=600 NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/build/numba $(BIN)/python -m pytest \
	  tests/pure/core/test_skill_scan.py -k fuzzer

system-packages:  ## Debian packages that tests use: a browser with Korean fonts, Prometheus, Lua; as root or with sudo
	.ci/install-system-packages $(ARGS)

lint-deploy: env  ## Workflows (schema, security), Dockerfiles and shell scripts
	$(BIN)/hadolint deploy/docker/Dockerfile
	$(BIN)/shellcheck .ci/run .ci/install-system-packages deploy/init deploy/rollout deploy/remote-rollout \
	  deploy/docker/install deploy/gateway/start deploy/gateway/acme deploy/gateway/make-certificate
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --no-progress .github

lint: env  ## Ruff, the import contracts, dead code and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/mypy

format: env  ## Let Ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: env  ## Build the docs site strictly into site/, without a network
	PYTHONPATH=. $(BIN)/python .ci/generate_docs.py
	$(BIN)/zensical build --strict

bench: env  ## Run each benchmark in turn
	@for file in tests/benchmarks/bench_*.py; do \
	  echo "== $$file"; PYTHONPATH=. $(BIN)/python "$$file" $(ARGS) || exit 1; done

bench-report: SHELL := /bin/bash -o pipefail
bench-report: env  ## The same, kept in build/benchmarks.txt
	@mkdir -p build
	@$(MAKE) --no-print-directory bench | tee build/benchmarks.txt

evaluate: env  ## Print the model's figures on the shared real player table; ARGS may name another
	@$(BIN)/python -m lostark_ml.evaluate $(ARGS)

dashboards: env  ## Write the Grafana dashboards from deploy/grafana/generate.py
	$(BIN)/python deploy/grafana/generate.py

contract: env  ## Write docs/battle-log-api.json from the routes
	$(BIN)/python -m lostark_simulator.mock_server.contract > docs/battle-log-api.json

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header

lock: $(BIN)/uv  ## Renew the lock files from requirements*.in (UPGRADE=--upgrade for newest versions)
	$(COMPILE) $(UPGRADE) requirements.in --output-file requirements.lock
	$(COMPILE) $(UPGRADE) requirements-dev.in --output-file requirements-dev.lock
	@for image in api pipeline model build; do \
	  $(COMPILE) deploy/docker/$$image.in --output-file deploy/docker/$$image.lock || exit 1; done

clean:  ## Remove the environment; the data in .lostark stays
	rm -rf $(VENV) *.egg-info
