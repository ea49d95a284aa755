# The same steps as .ci/run, in the environment that is active.
.PHONY: check lint types catalogue test fast

check: lint types catalogue test

lint:
	ruff check .
	ruff format --check .

types:
	mypy

catalogue:
	python -m regard.testing.catalogue --check

test:
	pytest -n 2

fast:
	pytest -n 2 -m "not slow"
