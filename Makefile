# Two commands are enough on a fresh machine: `make demo` and `make test`. Both set the environment up themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# PyTorch's CPU wheels are far smaller: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
OUT ?= tsdistill-out
READY := $(VENV)/.ready

.PHONY: help setup demo test test-all test-faults test-kills test-ray test-slurm test-qemu lint types tests test-page benchmark five-sets controls paper paper-as-released modern planted architectures published clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(READY)  ## the environment alone

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)  ## five methods on two bundled sets, and the table
	TSDISTILL_DATA= $(BIN)/tsdistill distill experiment=demo out=.demo
	TSDISTILL_DATA= $(BIN)/tsdistill report out=.demo

test: lint types tests  ## lint, types and tests

test-all: $(READY)  ## the tests, and the kernel's bits under two instruction sets
	OMP_NUM_THREADS=1 TSDISTILL_LONG=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-kills: $(READY)  ## a sweep whose processes are killed 100 times at random moments
	$(BIN)/python scripts/kill_sweeps.py

test-ray: $(READY)  ## a sweep on a Ray cluster of two nodes, if Ray's launcher is installed
	$(BIN)/python -m pytest -rs tests/runs/test_ray.py

test-slurm: $(READY)  ## sweeps on a Slurm of one node that dies, if its packages are installed; needs root
	TSDISTILL_SLURM=1 $(BIN)/python -m pytest -rs tests/runs/test_slurm.py

test-faults: $(READY)  ## every stored file damaged in every way, under every command
	OMP_NUM_THREADS=1 TSDISTILL_LONG=1 $(BIN)/python -m pytest -q tests/faults --basetemp=$$(mktemp -d)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-qemu: $(READY)  ## exported headers on an emulated Cortex-M4, if its compiler and QEMU are installed
	$(BIN)/python -m pytest -rs tests/deploy/test_emulated.py

test-page: $(READY)  ## the report's page in headless Chromium, if there is one
	$(BIN)/python -m pytest -rs tests/report/test_html.py

benchmark: $(READY)  ## speed against the stated yardsticks; BASE=old.json shows the change
	OMP_NUM_THREADS=1 $(BIN)/python scripts/benchmark.py --write benchmark.json $(if $(BASE),--base $(BASE))

five-sets: $(READY)  ## five methods on five sets; needs TSDISTILL_DATA
	$(BIN)/tsdistill distill experiment=five_sets out=$(OUT)
	$(BIN)/tsdistill report out=$(OUT)

SIX := CBF,ECG200,ECGFiveDays,GunPoint,ItalyPowerDemand,SonyAIBORobotSurface1

controls: $(READY)  ## TSD beside its controls, the README's table; needs TSDISTILL_DATA
	$(BIN)/tsdistill distill experiment=controls out=$(OUT)
	$(BIN)/tsdistill train-teacher -m teacher=fcn 'teacher.seeds=[1,2]' dataset.name=$(SIX) dataset.max_length=100 out=$(OUT)
	$(BIN)/tsdistill evaluate out=$(OUT)
	$(BIN)/tsdistill report out=$(OUT)

# What a paper target may be given: sets=small, yes=true
PAPER_WORDS = out=$(OUT)/$(1) $(if $(sets),sets=$(sets)) $(if $(yes),yes=$(yes))

paper: $(READY)  ## the paper's protocol; says its cost first; sets=small, yes=true; needs TSDISTILL_DATA
	$(BIN)/python scripts/reproduce.py paper $(call PAPER_WORDS,paper)

paper-as-released: $(READY)  ## the same with the released code's faults
	$(BIN)/python scripts/reproduce.py paper_as_released $(call PAPER_WORDS,paper_as_released)

modern: $(READY)  ## all methods under this project's defaults, with a strong teacher
	$(BIN)/python scripts/reproduce.py modern $(call PAPER_WORDS,modern)

planted: $(READY)  ## saliency against a known truth
	$(BIN)/tsdistill distill experiment=planted out=$(OUT)
	$(BIN)/tsdistill evaluate out=$(OUT)
	$(BIN)/tsdistill report out=$(OUT)

architectures: $(READY)  ## TSD with other architectures on either side; needs TSDISTILL_DATA
	$(BIN)/tsdistill distill experiment=architectures teacher=lstm student=fcn_8 out=$(OUT)
	$(BIN)/tsdistill distill experiment=architectures teacher=resnet student=lstm_8 out=$(OUT)
	$(BIN)/tsdistill distill experiment=architectures teacher=inception student=gru_8 out=$(OUT)
	$(BIN)/tsdistill report out=$(OUT)

published: $(READY)  ## our CNNs against published accuracies; needs TSDISTILL_DATA with published/
	$(BIN)/python scripts/check_published.py --published $(TSDISTILL_DATA)/published --out $(OUT)

clean:  ## remove the environment and the demo's output
	rm -rf $(VENV) .demo
