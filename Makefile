# make run    the service with all it needs, on http://127.0.0.1:4999
# make test   the whole test suite, on real servers
# make check  format, lint, types, imports, lock file
# make help   everything else
#
# Each makes the environment (.venv) first where that is needed. PYTHON=python3.12 chooses another.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CODE := src tests checkers tools benchmarks examples alembic

SECONDS ?= 60
SEED ?= 1
TESTS ?=
SOAK ?=
ARGS ?=
PORT ?=
NAME ?=
TREE ?= tenant

unexport PYTHONDONTWRITEBYTECODE # else each process of each run compiles all tests again

.PHONY: help run demo test test-fast test-clients check format docs schema migration lock upgrade soak soak-client bench clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /make \1\t/p' Makefile | expand -t 20

$(READY): requirements.lock pyproject.toml tools/environment.sh
	@tools/environment.sh "$(PYTHON)"
	@touch $@

run: $(READY) ## Serve on http://127.0.0.1:4999, with PostgreSQL, S3, Valkey and a demo tenant
	@$(BIN)/syncapi dev $(if $(PORT),--port $(PORT))

demo: $(READY) ## Keep two folders of a few thousand files in step, with a conflict, and check them
	@$(BIN)/python examples/two_folders.py

test: $(READY) ## Run the tests; TESTS=tests/server/web for some of them
	$(BIN)/pytest --numprocesses 2 --dist worksteal --durations=20 $(TESTS)

test-fast: $(READY) ## Run the tests that need no server
	$(BIN)/pytest --numprocesses 2 --dist worksteal --no-servers --ignore=tests/embedded $(TESTS)

test-clients: $(READY) ## Generate clients in Python and TypeScript, and try them; needs Java and Node
	PYTHONPATH=tests:checkers $(BIN)/python -m clients $(ARGS)

check: $(READY) ## Check format, lint, types, import rules and the lock file
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/lock.py check

format: $(READY) ## Format the code, and mend what the linter can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(READY) ## Show every --help in docs/cli.md as it is now
	$(BIN)/python tools/help.py write

schema: $(READY) ## Write alembic/*/schema.sql, the whole SQL as the migrations make it
	$(BIN)/python tools/schema.py

migration: $(READY) ## Make the next migration; NAME="Documents have tags" TREE=tenant (or control)
	@$(BIN)/python tools/migration.py "$(TREE)" "$(NAME)"

lock: $(READY) ## Bring requirements.lock in step with pyproject.toml
	$(BIN)/python tools/lock.py write

upgrade: $(READY) ## Raise every pin in requirements.lock to the newest release
	$(BIN)/python tools/lock.py write --upgrade

soak: $(READY) ## Check the feed at random for SECONDS=60 from SEED=1; SOAK=--promotions fails over
	PYTHONPATH=tests:checkers $(BIN)/python -m soak --seconds $(SECONDS) --seed $(SEED) $(SOAK)

soak-client: $(READY) ## Sync folders and replicas at random with crashes and a bad network for SECONDS=60
	PYTHONPATH=tests:checkers $(BIN)/python -m simulation --seconds $(SECONDS) --seed $(SEED) $(SOAK)

bench: $(READY) ## Measure; see docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove .venv, the data of `make run`, caches
	rm -rf .venv .syncapi .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage
