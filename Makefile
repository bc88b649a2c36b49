# `make demo` and `make test` set up .venv by themselves, with pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Most of what is checked is compilation: XLA takes the quicker of its two ways to emit a fusion and optimises less.
# A version that does not know a flag ends the process; constraints.txt says which it is.
test test-slow doctest: export XLA_FLAGS ?= \
	--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false

.PHONY: demo test test-slow lint doctest notebooks check clean

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.core  ## simulate a scan and reconstruct it twice; files go to demo/
	$(BIN)/jptycho demo --output demo

test: $(VENV)/.dev  ## the tests, without the slow ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=20 -m 'not slow' tests

test-slow: $(VENV)/.dev  ## the slow tests
	$(BIN)/python -m pytest -q -m slow tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

doctest: $(VENV)/.dev
	$(BIN)/python -m pytest -q --doctest-modules jptycho

notebooks: $(VENV)/.dev  ## the notebooks, and the examples of README.md
	$(BIN)/python notebooks/execute.py
	$(BIN)/python -m pytest -q tests/e2e/test_readme.py

check: test lint doctest notebooks

clean:
	rm -rf $(VENV) build *.egg-info demo
