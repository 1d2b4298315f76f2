# Everything a person does with this project; `make help` lists it. Built things go to the cache
# outside the checkout, so the second run of anything is quick.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export DBPROXY_CACHE := $(abspath $(or $(DBPROXY_CACHE),$(HOME)/.cache/dbproxy))
export CARGO_TARGET_DIR := $(DBPROXY_CACHE)/target
export PYTHONPYCACHEPREFIX := $(DBPROXY_CACHE)/pycache
export MYPY_CACHE_DIR := $(DBPROXY_CACHE)/mypy
export RUFF_CACHE_DIR := $(DBPROXY_CACHE)/ruff
BIN := $(DBPROXY_CACHE)/venv/bin
HELM := $(firstword $(wildcard $(DBPROXY_CACHE)/bin/helm) helm)
NODE := python3 -m tests.cluster.node
PYTEST := $(BIN)/python -m pytest -o cache_dir=$(DBPROXY_CACHE)/pytest
E2E := $(PYTEST) --timeout 600
# They share one installation, which takes most of a small node.
DATA_PLANE := test_budget.py test_dataplane.py test_failover.py test_mysql.py test_rollout.py
# What differs from one major of PostgreSQL to the next shows in these first.
MAJORS ?= 14 15 16 17 18
TELLING := test_likeness.py test_settings.py test_pins.py test_pooling.py test_protocol_versions.py
# And from one version of MySQL's family to the next.
MYSQL_TELLING := test_bad_logins.py test_queries.py test_state.py test_prepared.py test_diagnostics.py \
  test_kill.py test_change_user.py test_user_variables.py test_likeness.py
# Which soak `make soak` runs.
SOAK = $(if $(filter mysql mariadb,$(ENGINE)),tests/mysql/soak -k '$(ENGINE)]',tests/soak)
CARGO := cargo --locked --quiet
# Whose drivers `make drivers` and whose soak `make soak` runs: postgresql, mysql or mariadb.
ENGINE ?= postgresql
DRIVERS_FMT := cargo fmt --manifest-path tests/drivers/rust/Cargo.toml
WORKSPACE := --manifest-path proxy/rust/Cargo.toml --workspace
MYPY := operator/dbproxy_operator proxy/dbproxy tests examples helm
# $(call step,headline,command): says what begins, and how long it took.
step = @echo "==> $(1)"; begun=$$SECONDS; ( $(2) ); echo "    $(1): $$((SECONDS - begun)) s"

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# -- the main job ---------------------------------------------------------------------------------

.PHONY: demo
demo: ## Bring up a cluster, install everything, use the proxy, and fail its database over (ENGINE=mysql, mariadb)
	@$(NODE) require images cluster
	@$(NODE) up
	@$(NODE) images operator proxy $(if $(filter mysql mariadb,$(ENGINE)),mysql,postgres)
	@ENGINE=$(ENGINE) python3 -m examples.demo

.PHONY: demo-down
demo-down: cluster-down ## Stop what the demo started

# -- tests ----------------------------------------------------------------------------------------

.PHONY: test
test: ## Run every test of the project, from unit to end-to-end
	@$(NODE) require build cluster database
	@$(MAKE) test-unit
	@$(MAKE) test-protocol
	@$(MAKE) test-e2e

.PHONY: test-unit
test-unit: python ## Run the tests that need no server, with 2,000 seeds of each protocol's simulation
	@$(NODE) require build cluster database
	@$(NODE) install
	@$(NODE) mysql
	@$(NODE) binaries
	$(call step,Unit and contract tests,$(PYTEST) -n auto --dist loadgroup tests/unit tests/contract)
	$(call step,Rust tests and simulation,$(CARGO) test $(WORKSPACE))

.PHONY: test-protocol
test-protocol: python ## Run real clients against the proxy and real databases, and break things
	@$(NODE) require build database
	@$(NODE) install
	@$(NODE) mysql
	$(call step,Protocol and fault tests with a minute of the soak,$(PYTEST) -n 4 tests/protocol tests/fault tests/soak)
	$(call step,Protocol tests on MySQL and MariaDB,$(PYTEST) -n 4 --dist loadgroup tests/mysql)
	@$(MAKE) test-major MAJOR=14 SEEDS=8 CHOSEN="$(TELLING)"
	@$(MAKE) test-major MAJOR=18 SEEDS=8 CHOSEN="$(TELLING)"

.PHONY: test-majors
test-majors: python ## Run the protocol tests on each PostgreSQL from 14 to 18 (MAJORS="14 18")
	@$(NODE) require build database
	@$(NODE) install
	@for major in $(MAJORS); do $(MAKE) test-major MAJOR=$$major; done

# One major's; CHOSEN: of which files. A folder of programs is what POSTGRES names.
.PHONY: test-major
test-major: export POSTGRES := $(DBPROXY_CACHE)/postgresql/$(MAJOR)
test-major:
	@$(NODE) databases $(MAJOR)
	$(call step,Protocol tests on PostgreSQL $(MAJOR),$(PYTEST) -n 4 $(or $(addprefix tests/protocol/,$(CHOSEN)),tests/protocol))

.PHONY: test-mysql
test-mysql: export MYSQL_SERVER := $(VERSION)
test-mysql: python ## Run the protocol tests on another MySQL (VERSION=mysql-8.0.33)
	@$(NODE) require build database
	@$(NODE) install
	@test -n "$(VERSION)" || { grep -o '^m[^ ]*' requirements/mysql-versions.txt; echo 'which VERSION=?' >&2; exit 1; }
	@$(NODE) mysql $(VERSION)
	$(call step,Protocol tests on $(VERSION),$(PYTEST) -n 2 --dist loadgroup $(or $(addprefix tests/mysql/,$(CHOSEN)),$(addprefix tests/mysql/,$(MYSQL_TELLING))))

.PHONY: test-mysql-group
test-mysql-group: export MYSQL_SERVER := mysql-8.0.33
test-mysql-group: python ## Run the tests on a Group Replication of three MySQL 8.0.33, whose primary fails
	@$(NODE) require build database
	@$(NODE) install
	@$(NODE) mysql $(MYSQL_SERVER)
	$(call step,Tests on Group Replication,$(PYTEST) -s --timeout 300 tests/mysql_group)

.PHONY: test-e2e
test-e2e: python ## Run the tests on a real cluster
	@$(NODE) require build cluster
	@$(NODE) up
	@$(MAKE) images
	$(call step,End-to-end tests: the operator,$(E2E) -n 4 -m 'not alone' $(addprefix --ignore tests/e2e/,$(DATA_PLANE)) tests/e2e)
	$(call step,End-to-end tests: the data plane,$(E2E) -m 'not alone' $(addprefix tests/e2e/,$(DATA_PLANE)))
	$(call step,End-to-end tests: those that disturb all others,$(E2E) -m alone tests/e2e)

.PHONY: sim
sim: python ## Replay one seed of the simulation with its trace (make sim SEED=7, of MySQL's with ENGINE=mysql)
	@test -n "$(SEED)" || { echo 'which seed? make sim SEED=7' >&2; exit 1; }
	SEED=$(SEED) ENGINE=$(ENGINE) $(CARGO) test --manifest-path proxy/rust/Cargo.toml -p dbproxy-server \
	  --test sim replay -- --nocapture

.PHONY: fuzz
fuzz: ## Feed the engine random bytes, settings and dialogues for minutes (FUZZ_CASES of each kind)
	@$(NODE) require build
	$(call step,Fuzz,PROPTEST_CASES=$${FUZZ_CASES:-100000} $(CARGO) test \
	  --manifest-path proxy/rust/Cargo.toml -p dbproxy-postgres -p dbproxy-mysql --lib fuzzing)

.PHONY: drivers
drivers: python ## Run every driver with its defaults, directly and through the proxy (ENGINE=mysql, DRIVERS="psycopg3 pgx")
	@$(NODE) require build database
	@$(NODE) install
	@if [ "$(ENGINE)" != postgresql ]; then $(NODE) mysql; fi
	@$(BIN)/python -m tests.drivers --engine $(ENGINE) $(DRIVERS)

.PHONY: soak
soak: python ## Have tens of clients do everything at once for ten minutes (ENGINE=mysql, SOAK_SECONDS, SOAK_SEED)
	@$(NODE) require build database
	@$(NODE) install
	@if [ "$(ENGINE)" != postgresql ]; then $(NODE) mysql; fi
	$(call step,Soak,SOAK_SECONDS=$${SOAK_SECONDS:-600} $(PYTEST) -s $(SOAK))

.PHONY: bench
bench: python ## Measure this proxy beside direct PostgreSQL and PgBouncer, or MySQL (ENGINE=mysql; BENCH_ROUNDS, BENCH_SECONDS)
	@$(NODE) require build database
	@$(NODE) install
	@$(NODE) $(if $(filter mysql mariadb,$(ENGINE)),mysql,peers)
	@$(BIN)/python -m tests.bench

.PHONY: bench-operator
bench-operator: python ## Measure the operator with 500 proxies, on API servers in memory and real (BENCH_PROXIES, BENCH_SECRETS)
	@$(NODE) require build cluster
	@$(NODE) binaries
	@PYTHONPATH=operator:. $(BIN)/python -m tests.bench.fleet

# -- daily work -----------------------------------------------------------------------------------

.PHONY: lint
lint: python ## Check style, types, import rules, chart and CRD copies
	@$(NODE) require build cluster
	@$(NODE) binaries
	@for trap in operator/__init__.py tests/operator; do \
	  if [ -e $$trap ]; then echo "$$trap shadows Python's own module operator" >&2; exit 1; fi; done
	@# The compiled engine is no Python module to import-linter.
	@if grep -rlE '^\s*(from|import) .*\b_core\b' proxy/dbproxy --include='*.py' | grep -v /dataplane.py; \
	  then echo 'only dataplane.py may import the engine' >&2; exit 1; fi
	$(call step,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check .)
	$(call step,mypy,$(BIN)/mypy $(MYPY))
	$(call step,import rules,PYTHONPATH=operator:proxy $(BIN)/lint-imports --no-cache)
	$(call step,gofmt,test -z "$$(gofmt -l tests/cluster tests/drivers tests/bench)")
	$(call step,rustfmt,cargo fmt --manifest-path proxy/rust/Cargo.toml --all --check)
	$(call step,rustfmt of the driver programs,$(DRIVERS_FMT) --check)
	$(call step,clippy,$(CARGO) clippy $(WORKSPACE) --all-targets -- -D warnings)
	$(call step,CRD copies,python3 helm/sync_crds.py --check)
	$(call step,helm,$(HELM) lint --quiet --strict helm/dbproxy)

.PHONY: fmt
fmt: python ## Format Python and Rust
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .
	cargo fmt --manifest-path proxy/rust/Cargo.toml --all
	$(DRIVERS_FMT)

.PHONY: sync-crds
sync-crds: ## Copy crds/ into the Helm chart
	python3 helm/sync_crds.py

.PHONY: lock
lock: ## Choose the newest versions that requirements/*.in allow (needs uv)
	cd requirements; for name in operator proxy dev; do \
	  uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --no-annotate \
	    --custom-compile-command 'make lock' --output-file $$name.txt $$name.in; done

# -- cluster and images ---------------------------------------------------------------------------

.PHONY: cluster-up
cluster-up: ## Start a local Kubernetes (kind, or a node of our own), or find it running
	@$(NODE) require cluster
	@$(NODE) up

.PHONY: cluster-down
cluster-down: ## Stop it and clear away what it left; images and builds stay cached
	@$(NODE) down

.PHONY: images
images: ## Build the images that changed and put them into the cluster
	@$(NODE) require images
	@$(NODE) images

.PHONY: python
python: ## Make the Python environment and build the engine, for tests and lint
	@$(NODE) require build
	@$(NODE) venv
	@$(NODE) core
