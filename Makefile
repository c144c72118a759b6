# Everything that is made or downloaded goes to .venv and .cache, both ignored.
PYTHON ?= python3

.PHONY: help test lint unit sanity integration cores demo

help:
	@echo "make test         everything: lint, unit, sanity, integration and every supported ansible-core"
	@echo "make lint         ruff, mypy, changelog and ansible-lint"
	@echo "make unit         the tests that run no playbook: planning, the lab, PowerShell, the collection's archive"
	@echo "make sanity       ansible-test sanity, as far as it goes without PowerShell"
	@echo "make integration  playbooks against the lab"
	@echo "make cores        in short with every other supported ansible-core for which a Python is found"
	@echo "make demo         watch a hierarchy of WSUS servers go from HTTP to HTTPS"
	@echo "PYTHON=python3.12 chooses another Python (3.11 or newer)"

test:
	@$(PYTHON) -m tests.run

lint unit sanity integration cores:
	@$(PYTHON) -m tests.run $@

demo:
	@$(PYTHON) -m tests.run setup
	@.venv/bin/python -m tests.demo
