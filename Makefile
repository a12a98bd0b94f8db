# `make demo` and `make test` are all there is to know: each makes .venv on first use. `make help` lists the parts.
.DEFAULT_GOAL := help
.PHONY: help install demo test lint types docs unit format pictures paper reliability package newcomer clean

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.histodecon-installed
# real tissue for the tests that want it; they are skipped where it is absent
HISTODECON_SHARED ?= ../shared/data
# processes that share the files of tests; each takes up to 2 GB
PYTEST_WORKERS ?= 2
TUTORIALS := $(filter-out $(if $(wildcard $(HISTODECON_SHARED)/her2st),,tutorials/02_her2st.ipynb),$(sort $(wildcard tutorials/*.ipynb)))

# tests are many small steps: one thread each is faster on few cores, and the same everywhere
lint types docs unit: export OMP_NUM_THREADS = 1
lint types docs unit: export OPENBLAS_NUM_THREADS = 1
lint types docs unit: export MKL_NUM_THREADS = 1
lint types docs unit: export HF_HUB_OFFLINE = 1
unit: export MPLBACKEND = agg
lint types docs unit: export HISTODECON_SHARED := $(abspath $(HISTODECON_SHARED))

help:
	@echo "make demo     the whole journey on drawn slides; results in demo_output/"
	@echo "make test     lint, types, docs and unit, as the continuous integration runs them"
	@echo "make lint     ruff: rules and format"
	@echo "make types    mypy"
	@echo "make docs     the documentation into docs/_build/html; a warning is an error"
	@echo "make unit     pytest: tests, doctests and tutorials"
	@echo "make format   let ruff mend what it can"
	@echo "make pictures draw the pictures of README and docs anew"
	@echo "make paper    run the source's experiments on real tissue; pages of docs/results"
	@echo "make reliability  bad inputs, kills, full disks, flipped bits, fuzzed files, a long run; the page docs/reliability.md"
	@echo "make package  wheel and source distribution, tried in environments of their own"
	@echo "make newcomer an empty environment, the lines of README, a picture; timed"
	@echo "make install  only make .venv"
	@echo "make clean    remove what the others made, but not .venv"

$(STAMP): pyproject.toml constraints.txt scripts/install.sh
	@sh scripts/install.sh $(VENV)
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	@$(PY) demo/run_demo.py --out demo_output

test: lint types docs unit

lint: $(STAMP)
	@echo "== lint"
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check . || { echo "run: make format"; exit 1; }

types: $(STAMP)
	@echo "== types"
	@$(PY) -m mypy

docs: $(STAMP)
	@echo "== docs"
	@$(PY) -m sphinx -q -n -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	@$(PY) scripts/check_links.py docs/_build/html
	@echo "docs/_build/html/index.html"

unit: $(STAMP)
	@echo "== unit"
	@$(PY) -m pytest -n $(PYTEST_WORKERS) --dist loadfile --doctest-modules --nbmake tests src $(TUTORIALS)

format: $(STAMP)
	@$(PY) -m ruff check --quiet --fix .
	@$(PY) -m ruff format --quiet .

pictures: $(STAMP)
	@$(PY) docs/make_pictures.py

paper: $(STAMP)
	@HISTODECON_SHARED=$(abspath $(HISTODECON_SHARED)) $(PY) -m paper.her2st --out docs/results
	@HISTODECON_SHARED=$(abspath $(HISTODECON_SHARED)) $(PY) -m paper.run --config paper/configs/at_hand.toml

reliability: $(STAMP)
	@OMP_NUM_THREADS=1 HISTODECON_SHARED=$(abspath $(HISTODECON_SHARED)) $(PY) benchmarks/reliability.py --kills 50 --flips 500 --fuzz 5000

package: $(STAMP)
	@sh scripts/check_package.sh

newcomer: $(STAMP)
	@sh scripts/check_package.sh newcomer

clean:
	@rm -rf demo_output docs/_build docs/api/generated build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
