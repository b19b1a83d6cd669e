# make up    build everything and run it: database, server, UI and an agent
# make test  install what the tests need, and run them all
# make lint  golangci-lint, with gosec and staticcheck
# make audit known faults of what we use; asks two services, and is no part of make test
# make bench the load of 100 agents on this machine, with figures
# make bench-agent  what watching every process costs, beside those of its peers that are installed
# make bench-storage  writing, size and reads over a long history, with figures

# Set VERSION for a release. Otherwise the programs take it from the commit (internal/buildinfo).
VERSION ?=
GO_BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=auto \
	-ldflags '-s -w -X github.com/snapwatch/snapwatch/internal/buildinfo.version=$(VERSION)'
UI_SOURCES = $(shell find ui/src ui/public -type f) ui/index.html ui/vite.config.ts ui/tsconfig.json ui/package-lock.json

# What strangers can send, folder:target; make test runs each for a few seconds.
FUZZ = snapshot:FuzzDecodeBatch snapshot:FuzzReplay agent/procfs:FuzzParseStat agent/exits:FuzzParseExits agent/delivery/spool:FuzzRecovery api:FuzzCursor api:FuzzWindow broadcaster:FuzzDecodeRequest auth:FuzzSecrets

.PHONY: up build test lint audit test-go test-ui bench bench-agent bench-storage generate require-up require-test
.DEFAULT_GOAL := build

up: require-up build
	@exec bin/snapwatch up

build: ui/dist/index.html
	$(GO_BUILD) -o bin/ ./cmd/...

ui/node_modules: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# A real TimescaleDB as WebAssembly, for the tests of that profile.
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
	@deploy/require.sh go node postgresql gcc chromium prometheus systemd

# The logs of all tests are kept, and then read for secrets.
test: export SNAPWATCH_TEST_LOGS := $(CURDIR)/bin/logs
test: require-test build lint
	rm -rf bin/logs && mkdir -p bin/logs
	$(MAKE) test-go test-ui
	deploy/check/secrets.sh bin/logs

# Built once, from a module of its own.
lint:
	go tool -modfile=deploy/lint/go.mod golangci-lint run ./...

audit:
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
	cd ui && npm audit --omit=dev

test-go: store/storetest/timescale/node_modules grafana/node_modules
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "run gofmt on: $$unformatted"; exit 1; }
	go vet ./...
	@for system in linux/arm64 linux/arm windows/amd64 darwin/arm64 freebsd/amd64; do \
		echo "vetting and building the agent for $$system"; \
		export GOOS=$${system%/*} GOARCH=$${system#*/} GOARM=7 CGO_ENABLED=0; \
		go vet ./agent/... ./snapshot ./internal/config ./cmd/snapwatch-agent && go build -o /dev/null ./cmd/snapwatch-agent || exit 1; \
	done
	cd grafana && npx tsc
	go test -race -count=1 -timeout 15m ./...
	cd deploy/check && go vet ./... && go test -count=1 ./...
	go test -run '^$$' -bench . -benchtime 1x ./...
	@mkdir -p bin
	@for target in $(FUZZ); do \
		echo "fuzzing $$target for 5 s"; \
		go test ./$${target%:*} -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime 5s >bin/fuzz.log 2>&1 || { cat bin/fuzz.log; exit 1; }; \
	done

test-ui:
	cd ui && npx openapi-typescript ../api/openapi.json -o ../bin/schema.d.ts >/dev/null && cmp ../bin/schema.d.ts src/api/schema.d.ts
	cd ui && npx tsc --noEmit && npx vitest run
	cd ui && node --test --test-concurrency=1 e2e/

bench: require-up build
	go run ./bench $(BENCH)

bench-agent: build
	go run ./bench/agent $(BENCH)

bench-storage: require-up
	go run ./bench/storage $(BENCH)

# What is made from the code and committed: tests fail when it is stale.
generate: ui/node_modules grafana/node_modules
	go test ./api -run OpenAPI -update
	go test ./snapshot -run 'Limits|ReplayCases' -update
	go generate ./internal/config
	cd ui && npm run --silent generate
	cd grafana && node src/generate.mjs
	go test ./grafana -run TestPanels -update
	go test ./cmd/snapwatch -run TestPrometheus -update
