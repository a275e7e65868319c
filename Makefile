# The commands of this project; .ci/run is `make test`.
#   make run    set up, then `secure-inbox demo`; options in ARGS, e.g. make run ARGS="--port-base 20000"
#   make test   set up, then everything: installs Debian packages (tests/debian-packages.txt) if some are missing
#   make quick  the inner loop: checks and the tests that need no other program and no patience
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test quick check format lock clean

run: $(VENV)/.run-installed
	@exec $(BIN)/secure-inbox demo $(ARGS)

test: $(VENV)/.test-installed
	tests/setup.sh
	$(MAKE) --no-print-directory check
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

quick: $(VENV)/.test-installed check
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow and not clients" $(ARGS)

check: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The newest versions that setup.cfg allows become the locked ones; run the tests before committing them.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'setuptools >=77, <81' .
	build/lock/bin/python -m pip freeze --all --exclude secure-inbox --exclude pip > requirements.lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock '.[test]'
	build/lock/bin/python -m pip freeze --all --exclude secure-inbox --exclude pip > requirements-test.lock
	@for marked in 'standard-imghdr==3.13.0'; do for file in requirements.lock requirements-test.lock; do \
		grep -q "^$${marked%%=*}==" $$file || echo "$$marked" >> $$file; done; done

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Secure Inbox needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

# setuptools is locked like the rest, so it comes first and the build does not fetch another.
$(VENV)/.run-installed: $(BIN)/python setup.cfg requirements.lock
	@echo "Setting up $(VENV) (a minute the first time)"
	$(PIP) $$(grep ^setuptools== requirements.lock)
	$(PIP) --use-pep517 --no-build-isolation -c requirements.lock -e .
	@touch $@

$(VENV)/.test-installed: $(BIN)/python setup.cfg requirements-test.lock
	$(PIP) $$(grep ^setuptools== requirements-test.lock)
	$(PIP) --use-pep517 --no-build-isolation -c requirements-test.lock -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
