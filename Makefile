# A fresh clone with Python 3.11, pip and make is enough: each target makes .venv and installs what
# it needs, once, and then runs. `make demo` and `make test` are the two to know.

.PHONY: demo breach test test-all check protos clean
.NOTPARALLEL:

demo: .venv/.core          ## five registries, one question, one private answer
	scripts/demo

breach: .venv/.core        ## a whole story, then a search of every byte that the platform holds
	scripts/breach

test: .venv/.dev           ## the fast suite
	scripts/test

test-all: .venv/.dev       ## everything, with the tests of whole laws and whole stories
	scripts/test --all

check: .venv/.dev          ## lint, format, types, import contracts, generated messages
	scripts/check

protos: .venv/.dev         ## generate upcare_mpc/_proto after changing a .proto
	PATH="$(CURDIR)/.venv/bin:$$PATH" scripts/protos

clean:                     ## remove the environment and everything that was generated
	rm -rf .venv build dist demo-output *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis .schemathesis
	find upcare_mpc tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.core: pyproject.toml
	scripts/install core

.venv/.dev: pyproject.toml
	scripts/install dev
