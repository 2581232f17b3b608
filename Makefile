# Cuu Long. `make run` shows a live province; `make test` tries everything.
# Wants Go 1.26, Node 20 and make; `make test` installs the rest (.ci/deps says what and why).

SHELL   := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
WEB     := ui/web
WEBSRC  := $(shell find $(WEB)/src $(WEB)/scripts $(WEB)/public -type f 2>/dev/null) $(wildcard $(WEB)/*.html $(WEB)/*.ts $(WEB)/*.js $(WEB)/*.json)

.PHONY: run test test-long bench check clean deps web build FORCE

run: build
	exec bin/ioc demo

# The binaries, once. Processes in tests and benchmarks are these.
build: bin/ioc bin/fieldsim
bin/ioc: $(WEB)/dist/index.html FORCE
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./cmd/ioc
bin/fieldsim: FORCE
	go build -trimpath -o $@ ./cmd/fieldsim
FORCE:

# The pages. npm ci only when the lock file changed.
web: $(WEB)/dist/index.html
$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	touch $@
$(WEB)/dist/index.html: $(WEB)/node_modules/.installed $(WEBSRC) $(wildcard geo/base/*.geojson)
	cd $(WEB) && npm run --silent build
	touch $@ $(WEB)/dist/.gitkeep

deps:
	.ci/deps
	.ci/tools

# In-process tests with the race detector; processes under load, and the
# browser, with normal builds. Nothing is skipped.
test: deps build
	cd $(WEB) && npm test --silent
	go vet ./...
	go test -race -timeout 15m ./...
	go test -tags process -timeout 15m -run 'Process' -v ./cmd/ioc
	cd $(WEB) && npm run --silent e2e

# What takes longer: fuzzing by the minute, many seeds, thousands of connections, power cuts.
FUZZTIME ?= 60s
SEEDS    ?= 50
test-long: deps build
	.ci/fuzz $(FUZZTIME)
	PROCESS_SEEDS=$(SEEDS) go test -tags process -timeout 120m -run 'Process' -v ./cmd/ioc
	go test -tags long -timeout 60m -run 'Long' -v ./cmd/ioc ./telemetry/tsdb

bench: deps build
	go test -tags bench -timeout 30m -run 'Bench' -v ./cmd/ioc

check: $(WEB)/dist/index.html
	@fmt=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$fmt" ] || { echo "not gofmt-ed: $$fmt"; exit 1; }
	go vet -tags process,bench,long ./...
	go tool staticcheck -tags process,bench,long ./...
	.ci/vulncheck
	cd $(WEB) && npm run --silent check && npm run --silent lint

clean:
	rm -rf bin $(WEB)/node_modules
	find $(WEB)/dist -mindepth 1 ! -name .gitkeep -delete
