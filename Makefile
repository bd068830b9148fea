# Everything runs in .venv, which is made when it is missing and renewed when pyproject.toml changes.

PYTHON ?= python3
INSTALLED = .venv/installed

.PHONY: venv demo moses test benchmarks clean

venv: $(INSTALLED)

demo: $(INSTALLED)
	.venv/bin/python examples/flights.py

moses: .venv/moses
	.venv/bin/python examples/moses.py

test: $(INSTALLED)
	.venv/bin/python -m pytest

benchmarks: $(INSTALLED)
	.venv/bin/python benchmarks/run.py

$(INSTALLED): pyproject.toml
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/pip install -e '.[test,examples,benchmarks]'
	touch $(INSTALLED)

# molsets asks for old packages that it needs for more than its data.
.venv/moses: $(INSTALLED)
	.venv/bin/pip install -e '.[moses]'
	.venv/bin/pip install --no-deps 'molsets>=0.3.1'
	touch .venv/moses

clean:
	rm -rf .venv examples/output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
