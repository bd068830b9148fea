# Everything runs in .venv, which is made when it is missing and renewed when pyproject.toml changes.

PYTHON ?= python3
INSTALLED = .venv/installed
RUN = .venv/bin/python

# Every process would compile the package again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: venv demo moses fingerprints molecules cells test check slow lowest wheel docs benchmarks clean

venv: $(INSTALLED)

demo: $(INSTALLED)
	$(RUN) examples/flights.py

moses: .venv/moses
	$(RUN) examples/moses.py

fingerprints: .venv/moses
	$(RUN) examples/fingerprints.py

molecules: .venv/moses
	$(RUN) examples/molecules.py

cells: .venv/cells
	$(RUN) examples/cells.py

test: $(INSTALLED)
	$(RUN) -m pytest -n 2 --dist worksteal

check: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Clusters of processes and containers, faults, large data.
slow: $(INSTALLED)
	$(RUN) -m pytest -m slow -rs -n 2 --dist loadfile

# The tests on the oldest releases that pyproject.toml allows, and what of the package they run. Their OpenBLAS
# takes processors that are newer than it for a Prescott, whose products have other bits in other places of memory.
lowest: export OPENBLAS_CORETYPE ?= $(if $(filter x86_64,$(shell uname -m)),Haswell)
lowest: $(INSTALLED)
	test -d .venv-lowest || $(PYTHON) -m venv .venv-lowest
	.venv/bin/uv pip install --python .venv-lowest/bin/python --resolution lowest-direct -e '.[test]'
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider \
		--cov=dask_igtm --cov-report=term:skip-covered --cov-fail-under=95

# Wheel and source archive, and the quickstart with the wheel alone.
wheel: $(INSTALLED)
	rm -rf dist .venv-wheel
	$(RUN) -m build
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install dist/*.whl
	cd dist && ../.venv-wheel/bin/python ../examples/quickstart.py --output quickstart

docs: $(INSTALLED)
	.venv/bin/sphinx-build --fail-on-warning --fresh-env --quiet docs site

benchmarks: $(INSTALLED)
	$(RUN) benchmarks/run.py

$(INSTALLED): pyproject.toml
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/pip install -e '.[test,docs,examples,benchmarks]'
	touch $(INSTALLED)

# molsets asks for old packages that it needs for more than its data.
.venv/moses: $(INSTALLED)
	.venv/bin/pip install -e '.[moses]'
	.venv/bin/pip install --no-deps 'molsets>=0.3.1'
	touch .venv/moses

# scanpy draws, and brings cells with it.
.venv/cells: $(INSTALLED)
	.venv/bin/pip install -e '.[cells]' 'scanpy>=1.11'
	touch .venv/cells

clean:
	rm -rf .venv .venv-* site examples/output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
