# One word each. Every target sets itself up: a virtual environment, then the package with its tools.

VENV ?= .venv
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; break; fi; done)
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test check coverage format bench campaign kill sim fuzz build clean power defects protocol stdlib recording

demo: $(READY)  ## fifty trades between three parties, through kill -9
	$(BIN)/flowc demo
	@echo "next: $(BIN)/flowc demo --processes, the trade between three processes over TLS, each killed alone"

test: $(READY)  ## the tests
	$(BIN)/pytest -n 2 -q

check: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

recording: $(READY)  ## docs/recordings anew; on a machine with nothing else to do
	$(BIN)/python docs/recordings/record.py demo-processes.cast flowc demo --processes --seed 2026
	UPDATE_EXPECT=1 $(BIN)/pytest -n 0 -q tests/test_docs.py -k recorded

# What plays the same code again and again, or in processes of its own, shows no line that others do not.
PLAYED = power planted simulation/test_digest.py simulation/test_worlds.py test_fuzz.py test_fuzz_bytes.py \
	test_demo_processes.py test_house.py test_planted.py test_processes.py test_programs.py test_tutorial.py

coverage: $(READY)  ## the tests that look at one thing each once more, and which lines they never ran
	$(BIN)/pytest -n 2 -q --cov --cov-report=term-missing:skip-covered $(PLAYED:%=--ignore=tests/%)

format: $(READY)  ## write the one way to write it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stdlib: $(READY)  ## the library of flows, compiled into the runtime
	$(BIN)/flowc fmt flowlang/stdlib
	$(BIN)/flowc compile flowlang/stdlib

bench: $(READY)  ## the benchmarks; figures in build/bench.json
	$(BIN)/python tests/benchmarks/run.py

campaign: $(READY)  ## the long runs; FLOW_PROGRAMS=20000 for more of them
	$(BIN)/pytest -n 2 -q -m campaign

kill: $(READY)  ## real processes, killed at every named point; FLOW_KILLS=10000 for more kills
	$(BIN)/pytest -n 0 -q -m campaign tests/test_processes.py

FUZZ ?= 10

defects: $(READY)  ## defects planted in runtime and compiler, each hunted by the simulator; FLOW_HUNTS=5 for more hunts
	$(BIN)/python -m tests.planted

fuzz: $(READY)  ## everything that reads what others wrote, FUZZ times a few seconds; then FLOW_FUZZ spoiled programs, FLOW_PLANTED mistakes
	$(BIN)/python -m tests.fuzz.targets $(FUZZ)
	$(BIN)/pytest -n 2 -q -m campaign tests/test_fuzz.py tests/test_planted.py

sim: $(READY)  ## worlds in which everything goes wrong, SIM_WORLDS=20000 of them from the seed SIM_FIRST=0 on; SIM_LEDGER=20000 of the ledger's alone
	$(BIN)/python -m tests.simulation

protocol: $(READY)  ## the protocol check against SPIN and the runtime, with PAIRS=2300 random pairs of flows; needs spin and gcc
	$(BIN)/python -m tests.protocol campaign $(or $(PAIRS),2300)
	$(BIN)/python -m tests.protocol play $(or $(PAIRS),2300)

power: $(READY)  ## the store on a disk that loses its power; FLOW_POWER=200000 for more states
	$(BIN)/python -m tests.power $(or $(FLOW_POWER),20000)

build: $(READY)  ## the wheel and the source package, in dist/
	$(BIN)/python -m build

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; set PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
