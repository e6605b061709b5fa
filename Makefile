# Everything sets itself up: the standard library's venv makes `.venv`, pip installs uv into it from PyPI,
# and uv installs exactly what requirements/dev.lock names, by hash.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
SIM_VENV ?= .venv-sim
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo check check-tests test test-django lint types bench sim docs-check lock clean

help:
	@echo "make demo        the main job, live: one mint for 4 processes x 8 threads"
	@echo "make check       for every save: the tests without a socket or a process, lint, types"
	@echo "make test        every test"
	@echo "make lint types  ruff and interrogate; mypy --strict and pyright strict"
	@echo "make docs-check  runs the examples of README.md and docs/"
	@echo "make bench       ratios against a hard-coded header and against peers"
	@echo "make sim         1 to 10,000 simulated hosts on one shared cache; draws docs/images"
	@echo "make lock        updates requirements/*.lock from pyproject.toml"

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: requirements/dev.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . --editable integrations/django --editable integrations/flask --editable example_projects/real_servers
	@touch $@

# A separate venv: it has the peers, and no Django, because diskcache imports Django where it is installed.
$(BENCH_VENV)/bin/uv:
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(BENCH_VENV)/.installed: requirements/bench.lock pyproject.toml | $(BENCH_VENV)/bin/uv
	$(BENCH_VENV)/bin/uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r requirements/bench.lock
	$(BENCH_VENV)/bin/uv pip install --quiet --python $(BENCH_VENV)/bin/python --no-deps --editable .
	@touch $@

$(SIM_VENV)/bin/uv:
	$(PYTHON) -m venv $(SIM_VENV)
	$(SIM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(SIM_VENV)/.installed: requirements/sim.lock pyproject.toml | $(SIM_VENV)/bin/uv
	$(SIM_VENV)/bin/uv pip install --quiet --python $(SIM_VENV)/bin/python --require-hashes -r requirements/sim.lock
	$(SIM_VENV)/bin/uv pip install --quiet --python $(SIM_VENV)/bin/python --no-deps --editable .
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/python example_projects/demo/demo.py

# All three at the same time; each prints its output when it ends.
check: $(VENV)/.installed
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target check-tests lint types

check-tests: $(VENV)/.installed
	$(BIN)/python -X dev -W error -m pytest -q -n 2 --dist worksteal -m "not loopback and not processes" $(ARGS)

test: $(VENV)/.installed
	$(BIN)/python -X dev -W error -m pytest -n 4 --dist worksteal $(ARGS)

# requirements/dev.lock has the newest Django that each Python can run. This tests an older one, in its own VENV.
test-django: $(VENV)/.installed
	$(BIN)/uv pip install --quiet --python $(BIN)/python 'django~=$(DJANGO)'
	$(BIN)/python -X dev -W error -m pytest -n 4 --dist worksteal integrations/django $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/interrogate --quiet src tests integrations

types: $(VENV)/.installed
	$(BIN)/mypy --python-executable $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python

docs-check: $(VENV)/.installed
	$(BIN)/python -X dev -W error -m pytest README.md docs -p no:randomly

bench: $(BENCH_VENV)/.installed
	@$(BENCH_VENV)/bin/python bench/run.py $(ARGS)

sim: $(SIM_VENV)/.installed
	@cd bench && "$(abspath $(SIM_VENV))/bin/python" -m simulation $(ARGS)

lock: | $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev --upgrade -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header --group bench --upgrade -o requirements/bench.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header --group sim --upgrade -o requirements/sim.lock

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(SIM_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
