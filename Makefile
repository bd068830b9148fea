# Everything runs in .venv, which is made when it is missing and renewed when pyproject.toml changes.

PYTHON ?= python3
INSTALLED = .venv/installed

.PHONY: venv demo test benchmarks clean

venv: $(INSTALLED)

demo: $(INSTALLED)
	.venv/bin/python examples/flights.py

test: $(INSTALLED)
	.venv/bin/python -m pytest

benchmarks: $(INSTALLED)
	.venv/bin/python benchmarks/run.py

$(INSTALLED): pyproject.toml
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/pip install -e '.[test,examples,benchmarks]'
	touch $(INSTALLED)

clean:
	rm -rf .venv examples/output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
