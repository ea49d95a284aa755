# The same steps as .ci/run, in the environment that is active.
.PHONY: check lint types architecture catalogue test fast

check: lint types catalogue test

lint:
	ruff check .
	ruff format --check .

types:
	mypy

catalogue:
	python -m regard.testing.catalogue --check

test:
	pytest

fast:
	pytest -m "not slow"
