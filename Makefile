# The commands of CI one by one, for an environment with '.[pipeline,test]' installed. `.ci/run` does them all in a fresh one.
.PHONY: check style format types layers test fast docs ci

check: style types layers test

style:
	ruff check
	ruff format --check

format:
	ruff check --fix
	ruff format

types:
	mypy

layers:
	lint-imports

test:
	python -m pytest

fast:
	python -m pytest -m "not slow and not e2e and not realdata"

docs:
	sphinx-build -W --keep-going -b html docs docs/_build/html

ci:
	.ci/run
