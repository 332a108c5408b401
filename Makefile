# Two commands do everything: `make demo` and `make test`. Both install first.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := client controller handlers analytics local tests benchmarks tools infra examples
.PHONY: help setup demo docs test lint types contracts unit scenarios bench package infra format clean reliability gate mutants fuzz sbom

help:  ## show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup:  ## install the pinned environment into .venv (no root)
	@$(PYTHON) tools/bootstrap.py

demo: setup  ## one simulated day of incidents on an embedded AWS, with and without flyball; a page in dist/
	@$(BIN)/flyball demo --report dist/demo.html $(DEMO)

test: setup lint types contracts unit  ## lint, types, import contracts, tests with coverage

lint: setup
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports --no-cache

unit: setup
	@$(BIN)/pytest -n 2 --cov --cov-report=term $(PYTEST)

reliability: setup  ## long runs: the simulation of faults and the model of the protocol, with their tables
	@$(BIN)/python tools/reliability.py simulate $(if $(SIMULATE),$(SIMULATE),--schedules 40000)
	@$(BIN)/python tools/reliability.py model --size long --traces $(or $(TRACES),1000)

gate: setup  ## whether what runs in a schedule has its million behind it: LEDGERS="one.jsonl two.jsonl"
	@$(BIN)/python tools/reliability.py release $(addprefix --ledger ,$(or $(LEDGERS),dist/reliability.jsonl))

fuzz: setup  ## long fuzzing of every parser, gone on from its ledger: FUZZ="--inputs 1000000"
	@$(BIN)/python tools/fuzz.py run --ledger dist/fuzz.jsonl $(FUZZ)
	@$(BIN)/python tools/fuzz.py report dist/fuzz.jsonl

sbom: setup  ## write the bill of materials (CycloneDX JSON) into dist/
	@$(BIN)/python tools/sbom.py

mutants:  ## change the decision core in thousands of ways and see which no test notices
	@$(PYTHON) tools/bootstrap.py mutation
	@$(BIN)/python tools/mutants.py $(MUTANTS)
	@$(BIN)/python tools/mutants.py --report

scenarios: setup  ## check every scenario's expectations on all its seeds
	@$(BIN)/flyball test scenarios $(SCENARIOS)

bench:  ## print every benchmark's ratios, beside the peers of the extra `bench`
	@$(PYTHON) tools/bootstrap.py bench
	@for b in benchmarks/client_overhead.py benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

docs:  ## remake the generated pages of docs/, build the site into dist/docs, refuse broken links
	@$(PYTHON) tools/bootstrap.py docs
	@$(BIN)/python tools/client_docs.py
	@$(BIN)/python tools/docs_reference.py
	@$(BIN)/mkdocs build --quiet --strict

package: setup  ## build the Lambda bundles into dist/ (POLICY=file.yaml puts a policy in)
	@$(BIN)/python tools/package.py $(if $(POLICY),--policy $(POLICY)) $(PACKAGE)

infra: setup  ## remake the generated parts of infra/ and docs/reference/iam.md, lint the template
	@$(BIN)/python tools/infra_docs.py
	@$(BIN)/cfn-lint -r eu-west-1 us-east-1 -- infra/template.yaml infra/sweep.yaml infra/chaos/template.yaml infra/accounts/*.yaml

format: setup  ## rewrite the sources in the house format
	@$(BIN)/ruff check --fix-only $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

clean:  ## remove the environment and caches
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
