# Each target says what it does; "make" alone prints this list.
SHELL := /bin/bash
GOTESTFLAGS ?=
FUZZTIME ?= 10s
BENCHFLAGS ?=
PROVEFLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help dev build test race vet fmt lint fuzz check accident rigs rigs-cluster prove bench gen clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/holdfast, static
	CGO_ENABLED=0 go build -trimpath -o bin/holdfast ./cmd/holdfast

dev: build ## build and start a durable broker for one person, with nothing to configure; ARGS="--listeners ..." adds flags
	@exec bin/holdfast dev $(ARGS)

test: ## the whole suite in one process each: unit, model, scenario, crash at every write, fuzz seeds (under 3 minutes)
	go test $(GOTESTFLAGS) ./...

race: ## the same under the race detector
	CGO_ENABLED=1 go test -race $(GOTESTFLAGS) ./...

vet: ## go vet, with the rigs and the planted faults too
	go vet ./...
	go vet -tags rig ./tests/...
	go vet -tags faults ./...

fmt: ## gofmt everything
	gofmt -w $$(git ls-files '*.go')

lint: ## the house rules: layers, purity, budgets, links
	go test -count 1 ./internal/lint/...

gen: ## regenerate generated code
	go generate ./...

fuzz: ## every fuzz target for FUZZTIME (default 10s)
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

check: ## what CI runs: .ci/run
	./.ci/run

accident: ## the classic accident with three real brokers: it happens where it is allowed, and does not by default (under 60 s)
	@go test -count 1 -tags rig -v -run '^TestAccident$$' ./tests/accident

rigs-cluster: ## small counts of the rigs of three brokers: accidents, kills, gaps (not part of check yet)
	go run ./tests/prove -ci -only accident,cluster,failover $(PROVEFLAGS)

rigs: ## small counts of every rig: one broker and three, killed, paused, cut off, without power; clients, bad input, quick start
	go run ./tests/prove -ci $(PROVEFLAGS)

prove: ## full counts of every rig; writes docs/PROOF.md and docs/COMPATIBILITY.md (needs root, kcat, Java and Maven)
	go run ./tests/prove $(PROVEFLAGS)

bench: ## against Apache Kafka and the limit brokers; writes docs/PERFORMANCE.md (an hour, a quiet machine)
	go run ./tests/bench $(BENCHFLAGS)

clean: ## remove what build made
	rm -rf bin
