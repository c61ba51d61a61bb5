# The front door of a fresh machine. What the commands do stands in tools/bootstrap and noxfile.py.
.PHONY: help demo sandbox live test faults

help:
	@echo "make demo     run each way of access, twice, and an audit, on an embedded sandbox of AWS and RunPod"
	@echo "make sandbox  a shell in which AWS and RunPod are the sandbox, to try things and to break them"
	@echo "make live     try it on your own accounts, with throw-away things; asks before it starts"
	@echo "make test     run every check (single ones: CONTRIBUTING.md)"
	@echo "make faults   break every call of every run in every way, which takes hours"

demo:
	@tools/bootstrap demo
	@.venv/bin/nox -s demo

sandbox:
	@tools/bootstrap demo
	@.venv/bin/nox -s sandbox

live:
	@tools/bootstrap demo
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python -m tools.live $(LIVE)

test:
	@tools/bootstrap test
	@.venv/bin/nox -s test

faults:
	@tools/bootstrap test
	@.venv/bin/nox -s faults -- $(FAULTS)
	@$(if $(FAULTS),true,.venv/bin/nox -s audits)
