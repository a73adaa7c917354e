# Two commands to start with: `make repro` runs the pipeline, `make test` runs every test.

PYTHON ?= python3
VENV := .venv
JOBS ?= 1
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Not PYTHONPATH, not PYTHONSAFEPATH: a queued experiment must import its own checkout.
unexport PYTHONPATH PYTHONSAFEPATH

.PHONY: help setup repro check test campaign queue sweep serve lock clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Done once, and again when the lock file changes.
$(VENV)/.done: requirements.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@python -m scripts.plots_page || echo "setup: dvc plots will load its scripts from the network"
	@touch $@

setup: $(VENV)/.done ## Create .venv with the locked dependencies.

repro: setup ## Run the pipeline; say where the results lie.
	@python -m pipeline.verify --mend
	@dvc repro
	@python -m stages.headline

check: setup ## Format, lint, types and the fast tests.
	@ruff format --check .
	@ruff check .
	@mypy pipeline stages
	@pytest -m "not slow and not campaign"

test: setup ## Every test, most of them two files at a time.
	@ruff format --check .
	@ruff check .
	@mypy pipeline stages
	@LESSON1_JOBS=2 OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/serving
	@pytest tests/serving # by itself: it measures how soon a server answers

campaign: setup ## Kill stages at 100 random moments and before every change; many minutes.
	@pytest -m campaign

queue: setup ## Run the queued experiments, JOBS of them at a time (1).
	@LESSON1_JOBS=$(JOBS) dvc queue start -j $(JOBS)

sweep: setup ## Queue and run learning rates x sizes x seeds, then draw them: reports/sweep.png.
	@python -m pipeline.experiments.sweep $(SWEEP)

serve: setup ## Serve models/model.onnx on http://127.0.0.1:8000.
	@python -m pipeline.serving

lock: ## Resolve the dependencies anew; needs uv.
	sh scripts/lock.sh

clean: ## Remove what the pipeline made, but not DVC's cache; .venv stays too.
	rm -rf data/raw.zip data/split.csv data/rejected.csv data/packed \
	  models/model.* models/preprocess.* models/int8 models/golden models/repository models/MODEL_CARD.md \
	  reports/index.html reports/lr_find reports/train/history.csv reports/evaluate/*.csv reports/export_onnx reports/card \
	  dvc_plots .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
