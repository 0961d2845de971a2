# `make book` and `make test` do all the set-up by themselves.
PYTHON ?= python3
CORES ?= all
DATASETS ?= digits
PROFILE ?= $(or $(KDLIB_PROFILE),quick)
PORT ?= 8000
SECTION ?= missing_class
DATASET ?= digits

VENV := .venv
READY := $(VENV)/ready
# An environment knows its place: in a project that was moved or copied it would run what lies in the other one.
$(shell [ -L $(VENV) ] || [ ! -s $(READY) ] || [ "$$(cat $(READY))" = "$(CURDIR)" ] || rm -f $(READY))
# macOS' own make (3.81) starts a command without a shell's characters by itself, and looks for it on the PATH that it was
# called with. It does so for /bin/sh alone: another shell is always started, and looks on the PATH that is exported.
SHELL := $(or $(wildcard /bin/bash),/bin/sh)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1

.PHONY: book page test test-long test-cluster faults findings serve clean help lint

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo "Variables: DATASETS=$(DATASETS) PROFILE=$(PROFILE) SECTIONS=$(SECTIONS) ONLY=$(ONLY) SECTION=$(SECTION) DATASET=$(DATASET) CORES=$(CORES) PYTHON=$(PYTHON)"

# To snakemake, "all" is every core of the machine: a container's quota may leave few of them.
AT_ONCE = $(if $(filter all,$(CORES)),"$$(python -c 'import joblib; print(joblib.cpu_count())')",$(CORES))

# Snakemake ends in a traceback where a user has no name, as in a container that was started with another's number, or no
# home folder, as in a job of some schedulers.
SOMEBODY = LOGNAME="$${LOGNAME:-$${USER:-$$(id -u)}}" HOME="$${HOME:-$(CURDIR)/_build/home}"

book: $(READY) ## execute the notebooks (DATASETS, PROFILE, SECTIONS) and build the book of all pages; ONLY=1: of DATASETS
	@$(SOMEBODY) snakemake --snakefile workflow/Snakefile \
		--workflow-profile workflow/profiles/local --cores $(AT_ONCE) \
		--config 'datasets=$(DATASETS)' profile=$(PROFILE) $(if $(SECTIONS),'sections=$(SECTIONS)') $(if $(ONLY),only=$(ONLY))
	@cat _build/book.txt

# The tests are in an order in which workers end together (tests/conftest.py), which xdist would change.
PYTEST := python -m pytest --numprocesses auto --dist loadgroup --no-loadscope-reorder

test: $(READY) lint ## every test but the long ones (LONG=1: those too) and the cluster's
	$(PYTEST) -m "not cluster$(if $(LONG),, and not long)"

test-long: $(READY) ## what takes minutes by nature: the benchmark, killed processes, second looks, the controls' pages
	$(PYTEST) -m long

test-cluster: $(READY) ## the workflow on a one-node SLURM of Debian's packages munge, slurmctld, slurmd, slurm-client
	python -m pytest -m cluster -s tests/test_cluster.py

faults: $(READY) ## forty faults of every kind while the book is made
	python -m tests.faults

findings: ## surprises about public tools, each shown again with pinned packages (findings/README.md)
	@for script in findings/*.sh; do echo "== $$script"; bash $$script || exit 1; done

lint: $(READY)
	ruff check .
	ruff format --check .

page: $(READY) ## one page after an edit (SECTION, DATASET, PROFILE); WATCH=1: again at every save
	@python -m kdlib page $(SECTION) --dataset $(DATASET) --profile $(PROFILE) $(if $(WATCH),--watch)

serve: book ## show the book at http://localhost:PORT
	python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

clean: ## remove what was built; the store, the data sets and .venv stay
	rm -rf _build .snakemake .pytest_cache .ruff_cache

# Made from nothing when a set-up was cut short: a half-installed package looks installed. Never through a link, which
# would empty the environment of another project.
$(READY): pyproject.toml constraints.txt
	@if [ -L $(VENV) ]; then echo "$(VENV) is a link to $$(readlink $(VENV)), which would be emptied: bring that one up to date (make, where it lies) and touch $(READY), or remove the link" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=...)")'
	@echo "Making the environment in $(VENV) (some minutes, about 2 GB)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --no-user --quiet --disable-pip-version-check -c constraints.txt -e '.[book,dev]'
# A trained network for the example on own data: its wheel alone, for it is read and never installed.
	@$(VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps -c constraints.txt -d $(VENV)/pretrained cifar-10-model \
		|| echo "cifar-10-model cannot be fetched: the book's example on own data shows another teacher in its place"
	@echo "$(CURDIR)" > $(READY)
