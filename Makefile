# The front door of a fresh machine. What the commands do stands in tools/bootstrap and noxfile.py.
.PHONY: help demo test faults

help:
	@echo "make demo   run each way of access, twice, and an audit, on an embedded sandbox of AWS and RunPod"
	@echo "make test   run every check (single ones: CONTRIBUTING.md)"
	@echo "make faults break every call of every run in every way, which takes hours"

demo:
	@tools/bootstrap demo
	@.venv/bin/nox -s demo

test:
	@tools/bootstrap test
	@.venv/bin/nox -s test

faults:
	@tools/bootstrap test
	@.venv/bin/nox -s faults -- $(FAULTS)
