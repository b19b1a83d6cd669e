# make               build everything into bin/
# make up            build everything and run it: database, server, web page and an agent
# make test          install what the tests need, and run all linters and tests
# make lint          run the linters of Go, of the web page and of English
# make audit         look up known vulnerabilities of dependencies; needs the network, and is not part of make test
# make generate      regenerate the files that are generated from code
# make bench         measure the load of 100 agents on this machine
# make bench-agent   measure the cost of recording, beside other tools that are installed
# make bench-storage measure writes, sizes and reads of a long history
# make bench-truth   compare what is stored with what is true; needs root
# make chaos         inject faults under load, and compare what is stored; fills a small disk if root runs it

# Set VERSION for a release. Otherwise the programs take it from the commit (internal/buildinfo).
VERSION ?=
# Everything but the race detector compiles with the same settings, so that the compiler's cache is shared.
PLAIN = CGO_ENABLED=0
GO_BUILD = $(PLAIN) go build -trimpath -buildvcs=auto \
	-ldflags '-s -w -X github.com/snapwatch/snapwatch/internal/buildinfo.version=$(VERSION)'
LINT_TOOL = go tool -modfile=deploy/lint/go.mod
UI_SOURCES = $(shell find ui/src ui/public -type f) ui/index.html ui/vite.config.ts ui/tsconfig.json ui/package-lock.json

# Fuzz targets for input from outside, as folder:target. make test runs each 500 times.
FUZZ = snapshot:FuzzDecodeBatch snapshot:FuzzReplay agent/procfs:FuzzParseStat agent/exits:FuzzParseExits \
	agent/bpf:FuzzRecords agent/delivery/spool:FuzzRecovery api:FuzzCursor api:FuzzWindow broadcaster:FuzzDecodeRequest \
	store/writer:FuzzSplit auth:FuzzSecrets
# Systems that the agent is built for, besides linux/amd64.
SYSTEMS = linux/arm64 linux/arm windows/amd64 darwin/arm64 freebsd/amd64

.PHONY: up build test lint lint-go lint-words lint-ui audit test-go test-systems test-delivery test-fuzz \
	test-ui bench bench-agent bench-storage bench-truth chaos generate require-up require-test
.DEFAULT_GOAL := build

up: require-up build
	@exec bin/snapwatch up

build: ui/dist/index.html
	$(GO_BUILD) -o bin/ ./cmd/...

ui/node_modules: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# TimescaleDB compiled to WebAssembly, for the tests of its storage profile.
store/storetest/timescale/node_modules: store/storetest/timescale/package-lock.json
	cd store/storetest/timescale && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

grafana/node_modules: grafana/package-lock.json
	cd grafana && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

ui/dist/index.html: ui/node_modules $(UI_SOURCES)
	cd ui && npx vite build --logLevel warn

require-up:
	@deploy/require.sh go node postgresql

require-test:
	@deploy/require.sh go node postgresql gcc chromium prometheus systemd nginx pgbouncer

# Several parts run at a time. The Go tests and the browser tests take longest, so they start first. Tests write their
# logs to bin/logs, which are searched for secrets at the end.
test: export SNAPWATCH_TEST_LOGS := $(CURDIR)/bin/logs
test: require-test
	$(MAKE) -j3 build lint store/storetest/timescale/node_modules
	rm -rf bin/logs && mkdir -p bin/logs
	$(MAKE) -j3 test-go test-ui test-systems test-delivery test-fuzz
	deploy/check/secrets.sh bin/logs

lint: lint-go lint-words lint-ui

lint-go:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "run gofmt on: $$unformatted"; exit 1; }
	linter=$$($(LINT_TOOL) -n golangci-lint) && $(PLAIN) GOFLAGS=-trimpath "$$linter" run --allow-parallel-runners ./...

# Spelling, and the words of deploy/lint/banned.txt.
lint-words:
	cd deploy/lint && go vet . && go test . && go run . ../..
	go run -modfile=deploy/lint/go.mod github.com/golangci/misspell/cmd/misspell -error \
		$$(git ls-files '*.md' '*.ts' '*.tsx' '*.mjs' '*.sh' '*.yml' '*.yaml' '*.sql' '*.service' '*.env' Makefile .env.example)

lint-ui: ui/node_modules grafana/node_modules
	cd ui && npm run --silent lint
	cd grafana && npx tsc

audit:
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
	cd ui && npm audit --omit=dev

# With -trimpath, a clone in another folder finds its packages in the compiler's cache. The packages that take longest
# come first, so that none of them is left alone at the end. Four run at a time, because some mostly wait.
# golangci-lint runs go vet. Each benchmark runs once, so that it keeps working.
# The race detector sleeps for a second at the end of each test binary by default.
test-go: export GORACE := atexit_sleep_ms=10
test-go: store/storetest/timescale/node_modules grafana/node_modules
	go test -p 4 -trimpath -vet=off -race -count=1 -timeout 30m -bench . -benchtime 1x \
		./store ./store/query ./cmd/... ./agent/collect ./api ./grafana ./store/... ./...

test-systems:
	@for system in $(SYSTEMS); do \
		echo "vetting and building the agent for $$system"; \
		export GOOS=$${system%/*} GOARCH=$${system#*/} GOARM=7 $(PLAIN); \
		go vet -trimpath ./agent/... ./snapshot ./internal/config ./cmd/snapwatch-agent && \
			go build -trimpath -o /dev/null ./cmd/snapwatch-agent || exit 1; \
	done

# The compose file, packages, units and manifests.
test-delivery:
	cd deploy/check && go vet ./... && go test -count=1 ./...

test-fuzz:
	@mkdir -p bin
	@for target in $(FUZZ); do \
		echo "fuzzing $$target"; \
		go test -trimpath ./$${target%:*} -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime 500x -parallel 1 >bin/fuzz.log 2>&1 \
			|| { cat bin/fuzz.log; exit 1; }; \
	done

test-ui: ui/node_modules
	cd ui && npx openapi-typescript ../api/openapi.json -o ../bin/schema.d.ts >/dev/null && cmp ../bin/schema.d.ts src/api/schema.d.ts
	cd ui && npx vitest run
	cd ui && npm run --silent e2e

bench: require-up build
	go run ./bench $(BENCH)

bench-agent: build
	go run ./bench/agent $(BENCH)

bench-storage: require-up
	go run ./bench/storage $(BENCH)

bench-truth: require-up build
	go run ./bench/truth $(BENCH)

chaos: require-up build
	go run ./bench/chaos $(BENCH)

# Files that are generated from code and committed. Tests fail if one is stale. Compiling the BPF programs needs clang
# and llvm-strip; Debian 12 has them in the packages clang and llvm.
generate: ui/node_modules grafana/node_modules
	go generate ./agent/bpf
	go test ./api -run OpenAPI -update
	go test ./snapshot -run 'Limits|ReplayCases' -update
	go generate ./internal/config
	cd ui && npm run --silent generate
	cd grafana && node src/generate.mjs
	go test ./grafana -run TestPanels -update
	go test ./cmd/snapwatch -run TestPrometheus -update
