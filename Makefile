# `make help` lists what can be done. Everything that is made stands below .build, and `./data` is the
# only other place that a run writes to.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run test conformance kills sim mutants chaos cluster bench lint format docs docs-html clean packages-run packages-test packages-cluster

# Flags for `make run` and `make bench`: make run ARGS="--listen 127.0.0.1:9000"
ARGS ?=

# A trap in a test would otherwise wait for a debugger for ever.
export SWIFT_BACKTRACE := enable=no

RELEASE := swift build -c release --static-swift-stdlib
SWIFT_FILES := Package.swift Sources Tests $(wildcard Benchmarks)

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: packages-run ## Build the program at .build/release/fastchat
	$(RELEASE) --product fastchat

run: build ## Build it and serve on http://127.0.0.1:8080, data in ./data
	exec .build/release/fastchat serve $(ARGS)

cluster: build packages-cluster ## Serve with Kafka, Redis, HAProxy and 3 instances here (INSTANCES=n; ARGS)
	@exec scripts/cluster $(or $(INSTANCES),3) $(ARGS)

test: packages-test ## Run all tests, the linter and the Autobahn cases
	@scripts/test

conformance: build packages-test ## Run all 517 Autobahn cases on both backends
	scripts/conformance all

kills: build packages-test ## Kill the server 50 times under load and look for what was lost
	FASTCHAT_KILLS=50 FASTCHAT_BINARY=$(CURDIR)/.build/release/fastchat swift test --filter LedgerTests

sim: packages-test ## Run simulated clusters (SEEDS=1000; ARGS="--faults kill,freeze")
	$(RELEASE) --product fastchat-sim
	.build/release/fastchat-sim --seeds $(or $(SEEDS),1000) $(ARGS)

mutants: packages-test ## Show that the simulator sees each of 52 deliberate faults (10 to 40 minutes)
	scripts/mutants $(ARGS)

chaos: build packages-test ## Real processes under real faults (SECONDS=60 SEED=n; ARGS="--faults kill,stop")
	$(RELEASE) --product fastchat-chaos
	.build/release/fastchat-chaos --program .build/release/fastchat --seconds $(or $(SECONDS),60) \
	  $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: packages-test ## Run the benchmarks beside their floors (12 minutes; ARGS="--only echo")
	Benchmarks/bench $(ARGS)

lint: ## Check the format of all Swift files
	swift format lint --strict --parallel --recursive $(SWIFT_FILES)

format: ## Format all Swift files
	swift format --in-place --parallel --recursive $(SWIFT_FILES)

docs: build ## Print docs/OPTIONS.md from the table of options
	.build/release/fastchat options > docs/OPTIONS.md

docs-html: packages-run ## Make the pages of the client library at .build/docs/client
	swift package dump-symbol-graph --minimum-access-level public > .build/symbol-graph.log
	rm -rf .build/docs/client .build/docs/symbols && mkdir -p .build/docs/symbols
	cp "$$(swift build --show-bin-path)/../symbolgraph/Client.symbols.json" .build/docs/symbols/
	docc convert Sources/FastChat/Client/Client.docc --additional-symbol-graph-dir .build/docs/symbols \
	  --fallback-display-name Client --fallback-bundle-identifier fastchat.Client --warnings-as-errors \
	  --transform-for-static-hosting --output-path .build/docs/client

clean: ## Remove what was built (not ./data)
	rm -rf .build

packages-run packages-test packages-cluster: packages-%:
	@scripts/toolchain
	@scripts/packages $*
