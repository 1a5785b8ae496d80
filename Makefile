# Two commands matter: `make demo` and `make test`. Both need only Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The peers of the benchmarks, in an environment of their own.
PEERS := .venv-peers
# Most tests wait most of the time, for workers, vendors and deadlines: five processes a core keep it busy.
PROCESSES ?= 10
# Thousands of interpreters start here: each would compile our modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check lint types contracts docs coverage stress bench chaos clean instructions

help:            ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/.runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "marketfetch needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned dependencies into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing pinned test dependencies into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.runtime  ## three vendors, one worker, real Celery: watch rows arrive
	@$(BIN)/marketfetch demo

test: $(VENV)/.dev      ## the whole suite, on servers that it starts itself; about ten minutes on two cores
	@$(BIN)/python -m pytest -n $(PROCESSES)

lint: $(VENV)/.dev      ## ruff: style and house rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev     ## mypy, strict
	@$(BIN)/mypy

contracts: $(VENV)/.dev ## who may import whom
	@$(BIN)/lint-imports

docs: $(VENV)/.dev      ## the site of the docs, with the reference made from the code, into site/; a broken link fails
	@$(BIN)/python -m tests.around.docs_site build/docs
	@$(BIN)/zensical build --clean --strict

instructions: $(VENV)/.dev ## instructions of each step of a request, by valgrind's callgrind: 10 % more than recorded fails
	@$(BIN)/python -m benchmarks.instructions $(if $(RECORD),--record)

check: lint types contracts docs instructions test  ## everything CI runs

coverage: $(VENV)/.dev  ## the whole suite again, slower, with the branches that it takes: 95 % of those of each package or it fails
	@rm -f .coverage .coverage.*
	@status=0; $(BIN)/python -m coverage run -m pytest -n $(PROCESSES) || status=$$?; \
	  $(BIN)/python -m tests.coverage_parts; \
	  $(BIN)/python -m coverage combine --quiet; \
	  $(BIN)/python -m coverage report --ignore-errors; \
	  $(BIN)/python -m tests.coverage_shares || status=1; \
	  exit $$status

stress: $(VENV)/.dev    ## random steps and random kills at full length, with other seeds each time; about an hour
	@MARKETFETCH_TEST_EXAMPLES=5000 $(BIN)/python -m pytest -n 2 tests/quotas/test_model.py
	@$(BIN)/python -m pytest -n 2 --hypothesis-profile=stress tests/providers tests/schemas tests/storage tests/sandbox
	@MARKETFETCH_TEST_CHAOS=long $(BIN)/python -m pytest -n 2 tests/flow/test_releaser_stops.py
	@for round in 1 2 3 4 5; do $(BIN)/python -m pytest -n 2 tests/flow/test_failpoints.py tests/quotas/test_races.py || exit 1; done

$(PEERS)/.peers: benchmarks/peers/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing the peers of the benchmarks into $(PEERS) ..."
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench: $(VENV)/.dev $(PEERS)/.peers ## measure, with what it is compared with in the same run; about an hour, with SHORT=1 some minutes
	@$(BIN)/python -m benchmarks.peers_compared $(PEERS)/bin/python $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.whole_way $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.bars_read_back $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.prices_adjusted
	@$(BIN)/python -m benchmarks.replies_read
	@$(BIN)/python -m benchmarks.coverage_stored
	@$(BIN)/python -m benchmarks.update_of_nothing
	@$(BIN)/python -m benchmarks.serve $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.files_stored $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.postgres_at_size $(if $(SHORT),--bars 0.1 --bars 1 --symbols 500 --updates 1)
	@$(BIN)/python -m benchmarks.gate_flat $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.calls_at_latency $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.memory_flat $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.gate_suite $(if $(SHORT),--short)
	@$(BIN)/python -m benchmarks.gate_plots

chaos: $(VENV)/.dev     ## kill everything for some minutes, then once at every step, and account for every row and call; about 15 minutes
	@$(BIN)/python -m chaos
	@test "$$(id -u)" -ne 0 || $(BIN)/python -m chaos.cut_off
	@$(BIN)/python -m pytest -n 2 tests/flow/test_failpoints.py

.PHONY: rabbitmq
rabbitmq: $(VENV)/.dev  ## the messages through a RabbitMQ of its own, which Debian's package rabbitmq-server has to provide
	@$(BIN)/python -m tests.rabbitmq

clean:           ## remove what make made
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache

NEXT := .venv-next

.PHONY: next
next:            ## the suite with the newest pre-releases of Celery and kombu, in an environment of its own
	@test -x $(NEXT)/bin/python || $(PYTHON) -m venv $(NEXT)
	@echo "installing marketfetch and the newest pre-releases of Celery and kombu into $(NEXT) ..."
	@$(NEXT)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(NEXT)/bin/pip install --quiet --disable-pip-version-check --pre -U celery kombu
	@status=0; $(NEXT)/bin/python -m pytest -n 2 --dist worksteal || status=$$?; \
	  versions=$$($(NEXT)/bin/python -c 'import billiard, celery, kombu, redis; print(f"celery {celery.__version__}, kombu {kombu.__version__}, billiard {billiard.__version__}, redis-py {redis.__version__}")'); \
	  test $$status -eq 0 && echo "next: passed with $$versions" || echo "next: FAILED with $$versions; see tasks/hardening/ for what may have changed"; \
	  exit $$status

.PHONY: fuzz
fuzz: $(VENV)/.dev      ## mutate 100,000 replies and 100,000 times the bytes on the wire: known errors only, <= 2 s, <= 200 MB; then the worst bodies of 64 MB; SEED=n repeats a run
	@$(BIN)/python -m tests.vendors.fuzzing 100000 $(SEED)
	@$(BIN)/python -m tests.vendors.worst_bodies 64
