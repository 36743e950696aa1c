# savi: `make` alone lists what can be done.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXP ?= demo
ARGS ?=
RESUME ?=
# Processes that share the tests, by files: each takes some 3 GB.
JOBS ?= 2
BENCH ?=
BENCHMARKS ?= benchmarks
# bases/1 would be the shipped one again.
BASES ?= world $(filter-out bases/1,$(wildcard bases/[1-9]*))
OTHERS ?= $(wildcard bases/small-* bases/large-* bases/weak-* bases/natural*)
# The base of the experiments in natural language, put together at their first run.
NATURAL := $(if $(findstring natural,$(EXP)),bases/natural/README.md)
export SAVI_BENCHMARKS = $(BENCHMARKS)
# Python compiles what is imported, once. pip would compile everything, which takes two minutes. So bytecode is written
# here even where the user's shell says otherwise: without it every process would compile all of its libraries.
export PYTHONDONTWRITEBYTECODE :=
comma := ,

.DEFAULT_GOAL := help
.PHONY: help setup lock measure train validate reported view samples test test-newest test-oldest lint format bench base \
	paper paper-page faults clean

help: ## Explain the targets (this text)
	@echo "savi - self-aligned video language models"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12 | sed 's/^/  make /'
	@echo; echo "  EXP=name            an experiment file, experiments/<name>.yaml (default: demo)"
	@echo "  ARGS='--key value'  any setting of it, e.g. ARGS='--trainer.max_epochs 2'"
	@echo "  BASES='world bases/2' the study's base models (default: the shipped one and bases/[1-9]*)"
	@echo "  OTHERS='bases/weak-1' bases of other kinds, for the tables of sizes and guards (default: those in bases/)"
	@echo "  QUICK=1             make paper in some 5 minutes: one base, one seed; its page goes to lightning_logs/paper_quick"
	@echo "  JOBS=4              processes that share the tests (default: 2)"
	@echo "  RESUME=1            resume the experiment's last run where it stopped"
	@echo "  BENCH=a,b           files of experiments/eval; BENCHMARKS=folder holds their data; CKPT=null takes the base"

# install FOLDER,PYTHON,OPTIONS: an empty environment with savi (editable) and its tools.
define install
	@echo "Setting up $(1) (about two minutes) ..."
	@$(2) -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(3) --editable '.[dev]' \
		2> >(grep -v '^WARNING: Location' >&2)
endef
# The versions that a suite has run on, in one line.
versions = @$(1)/bin/python -m pip list --format freeze 2> /dev/null | \
	grep -E '^(torch|torchvision|transformers|lightning|peft|bitsandbytes|jsonargparse|accelerate|av|wandb)=' | xargs

# The environment is made anew when the declared or the locked versions are newer than the marker.
$(READY): pyproject.toml constraints/lock.txt
	$(call install,$(VENV),$(PYTHON),--constraint constraints/lock.txt)
	@touch $@

setup: $(READY) ## Make the virtual environment (the other targets do this by themselves)

lock: ## Write the exact versions in constraints/ anew after a change of pyproject.toml: make lock [ARGS=--upgrade]
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" && \
	"$$folder/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.8' \
		2> >(grep -v '^WARNING: Location' >&2) && \
	resolve() { "$$folder/bin/uv" pip compile --quiet --no-cache --universal --python-version 3.11 \
		--fork-strategy fewest --extra dev --no-annotate --custom-compile-command 'make lock' "$$@" pyproject.toml; } && \
	resolve --output-file constraints/lock.txt $(ARGS) && \
	resolve --output-file constraints/oldest.txt --resolution lowest-direct

train: $(READY) $(NATURAL) ## Align a model: make train EXP=demo [ARGS='…'] [RESUME=1]
	@$(BIN)/savi fit --config experiments/$(EXP).yaml $(if $(RESUME),--ckpt_path last) $(ARGS)

bases/natural/README.md: tools/natural_base/taught.safetensors tools/natural_base/README.md | $(READY)
	@echo "Putting the natural base together (a minute, and 1.1 GB of disk) ..."
	@$(BIN)/python -m tools.natural_base.assemble --taught $< --output $(@D)

validate: COMMAND := validate
validate: measure ## Evaluate an experiment's last run: make validate EXP=demo [BENCH=mvbench,egoschema] [CKPT=null]
reported: COMMAND := test
reported: measure ## The same on the test set, for the figures that you report (savi test): make reported EXP=demo

measure: $(READY) $(NATURAL)
	@$(BIN)/savi $(COMMAND) --config experiments/$(EXP).yaml \
		$(foreach name,$(subst $(comma), ,$(BENCH)),--config experiments/eval/$(name).yaml) \
		--name $(notdir $(EXP)) --ckpt_path $(or $(CKPT),last) $(ARGS)

view: $(READY) ## Look at the newest run in a browser, or at others: make view [ARGS='RUN RUN']
	@$(BIN)/savi view $(ARGS)

samples: $(READY) ## Write small made-up sets in the shape of every benchmark: make samples [BENCHMARKS=folder]
	@$(BIN)/python -m tools.make_samples $(BENCHMARKS)

test: lint ## Lint, types, and the tests but slow ones: make test [ARGS='-x'] [ARGS='-m slow']
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-newest: ## The suite on the newest versions that pyproject.toml allows, in .venv-newest: make test-newest [ARGS='-x']
	$(call install,.venv-newest,$(PYTHON),)
	@.venv-newest/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)
	$(call versions,.venv-newest)

test-oldest: .venv-oldest/.ready ## The suite on the lowest versions that it allows, in .venv-oldest, with Python 3.11
	@.venv-oldest/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)
	$(call versions,.venv-oldest)

.venv-oldest/.ready: pyproject.toml constraints/oldest.txt
	$(call install,.venv-oldest,python3.11,--constraint constraints/oldest.txt)
	@touch $@

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check src tests tools && $(BIN)/ruff format --check --quiet src tests tools && $(BIN)/mypy

format: $(READY) ## Let ruff rewrite the sources
	@$(BIN)/ruff check --fix --quiet src tests tools; $(BIN)/ruff format --quiet src tests tools

bench: $(READY) ## Compare savi's times with TRL's and transformers' (half an hour): make bench [ARGS='--tokens 64']
	@$(BIN)/python -m tools.bench $(ARGS)

base: $(READY) ## Teach a miniature base model (40 minutes, resumes after a kill): make base SEED=1 [KIND=small|large|weak]
	@mkdir -p bases/work
	@$(BIN)/python -m tools.base_model.teach --seed $(or $(SEED),1) $(if $(KIND),--kind $(KIND)) \
		--output bases/$(if $(KIND),$(KIND)-)$(or $(SEED),1) --work bases/work $(ARGS)

paper: $(READY) ## The paper's tables on rendered clips, to docs/paper.md (hours, resumes after a kill): make paper [QUICK=1]
	@$(BIN)/python -m tools.paper --bases $(BASES) --others $(OTHERS) $(if $(QUICK),--quick) $(ARGS)

paper-page: $(READY) ## Write docs/paper.md and its figures anew from docs/paper/results.jsonl alone
	@$(BIN)/python -m tools.paper --page-only $(if $(QUICK),--quick) $(ARGS)

faults: $(READY) ## Kill runs and damage videos (an hour or two, resumable): make faults [ARGS='--kills 20 --videos 500']
	@$(BIN)/python -m tools.faults $(ARGS)

clean: ## Remove the virtual environments and caches (never lightning_logs)
	rm -rf $(VENV) .venv-newest .venv-oldest .mypy_cache .ruff_cache .pytest_cache
