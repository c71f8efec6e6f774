# podd: see `make help`. Everything runs as root on Debian or Ubuntu, with Go
# and git installed; `make deps` installs what else is needed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export GOFLAGS := -buildvcs=false
export GOTOOLCHAIN := auto
# git, and with it the build's version stamp, refuses a clone that belongs to
# another user than root, unless told that it is safe.
export GIT_CONFIG_COUNT   ?= 1
export GIT_CONFIG_KEY_0   ?= safe.directory
export GIT_CONFIG_VALUE_0 ?= $(CURDIR)

# The version comes from git through Go's build information.
# grpcnotrace: 9 MB less, see docs/adr.
GOBUILD := CGO_ENABLED=0 go build -buildvcs=auto -trimpath -tags grpcnotrace -ldflags "-s -w"
# Tests build with the tag as well: what is tested is what is shipped.
GOTEST  := go test -tags grpcnotrace -p 2

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-26s %s\n", $$1, $$2 }'

.PHONY: deps
deps: ## Install the OS packages that building and the demo need and that are missing (Debian, Ubuntu)
	@./tools/deps.sh

.PHONY: test-deps
test-deps: ## Install those that the tests need as well
	@./tools/deps.sh --tests

.PHONY: build
build: ## Build bin/podd and bin/podctl
	$(GOBUILD) -o bin/ ./cmd/podd ./cmd/podctl

.PHONY: bundle
bundle: deps bin/bundle/.built ## Build containerd, runc and the CNI plugins into bin/bundle/

bin/bundle/.built: bundle/go.mod bundle/go.sum bundle/build.sh
	./bundle/build.sh bin/bundle
	@touch $@

.PHONY: tools
tools: bin/tools/.built ## Build buf, the proto generators, golangci-lint and grpcurl into bin/tools/

bin/tools/.built: tools/go.mod tools/go.sum tools/protoc-gen-apidoc/main.go
	@mkdir -p bin/tools
	cd tools && go build -o ../bin/tools/ $$(go list -f '{{.ImportPath}}' tool)
	@touch $@

.PHONY: generate
generate: tools ## Generate the Go code of the API, its descriptor, and the docs that are made from code
	test ! -e api/podd.binpb || bin/tools/buf breaking --against api/podd.binpb || { echo 'that breaks clients: see CONTRIBUTING.md'; exit 1; }
	bin/tools/buf generate
	bin/tools/buf build -o api/podd.binpb
	go test -tags grpcnotrace ./agent/admit ./cmd/podctl ./cmd/podd ./metrics -run 'Docs' -rewrite

.PHONY: demo
demo: build bundle ## Run a guestbook pod, show it, and leave nothing behind (KEEP=1 keeps it)
	@KEEP=$(KEEP) ./examples/demo.sh

.PHONY: demo-stop
demo-stop: ## End a demo that was kept with KEEP=1
	@./examples/demo.sh stop

.PHONY: test
test: test-deps lint unit integration compatibility test-vm ## Everything CI runs

.PHONY: lint
lint: tools ## gofmt, vet, golangci-lint, buf
	@bad=$$(find . -name '*.go' -not -path './bin/*' -exec gofmt -l {} +); test -z "$$bad" || { echo "run gofmt on: $$bad"; exit 1; }
	go vet -tags grpcnotrace ./...
	go vet -tags grpcnotrace,vm ./integration
	bin/tools/golangci-lint run --allow-parallel-runners
	bin/tools/buf lint
	bin/tools/buf breaking --against api/podd.binpb
	@mkdir -p bin/_generated/docs
	bin/tools/buf build -o bin/_generated/podd.binpb
	cmp bin/_generated/podd.binpb api/podd.binpb || { echo 'the API has changed: run make generate'; exit 1; }
	bin/tools/buf generate --output bin/_generated
	diff -r -x '*.proto' -x doc.go bin/_generated/api/podd api/podd || { echo 'run make generate'; exit 1; }
	cmp bin/_generated/docs/api.md docs/api.md || { echo 'docs/api.md is not what the comments say: run make generate'; exit 1; }

.PHONY: unit
unit: bundle test-deps ## Unit, scenario and property tests, with the race detector
	$(GOTEST) -race $$(go list ./... | grep -v -e /integration$$ -e /integration/vm$$)

.PHONY: integration
integration: build bundle tools test-deps containerds deb-$(shell go env GOHOSTARCH) ## podd as a whole on real containerd, as root
	$(GOTEST) -count=1 -timeout 30m ./integration

# What a containerd of another version may change.
CORE := TestAPodRunsToItsEnd|TestExecAndFollow|TestLimitsAreInTheCgroupAndOOMKills|TestSecurityContext|TestHostPortAndNeighbours
CORE := $(CORE)|TestSharedNamespaces|TestProbes|TestStopIsGraceful|TestTheSandboxIsKilled|TestPoddIsKilled
CORE := $(CORE)|TestAContainerThatEndsWhilePoddIsAway|TestAPodIsDeletedWhilePoddIsKilled|TestAnotherContainerdDies|TestAnotherContainerdHangs

.PHONY: compatibility
compatibility: build bundle test-deps containerds ## The core cases of integration on other containerds: 1.7, and the distribution's own
	$(GOTEST) -count=1 -timeout 15m ./integration -run '^($(CORE))$$' -containerd ../bin/containerd-1.7
	$(GOTEST) -count=1 -timeout 15m ./integration -run '^($(CORE))$$' -containerd ../bin/containerd-debian

.PHONY: containerds
containerds: bundle bin/containerd-1.7/.built bin/containerd-debian/.built ## Build containerd 1.7, fetch the distribution's, for the tests

bin/containerd-1.7/.built: bundle/containerd-1.7/go.mod bundle/containerd-1.7/go.sum bundle/containerd-1.7/build.sh
	./bundle/containerd-1.7/build.sh bin/containerd-1.7
	@touch $@

bin/containerd-debian/.built: tools/debian-containerd.sh
	./tools/debian-containerd.sh bin/containerd-debian
	@touch $@

.PHONY: test-vm
test-vm: build bundle ## podd on systemd and cgroup v2, in a virtual machine
	@./tools/deps.sh qemu-system-x86 debootstrap debian-archive-keyring e2fsprogs
	$(GOTEST) -count=1 -v -timeout 40m ./integration/vm -run '^TestMachine$$'

# Not part of `make test` yet: it has to pass first.
.PHONY: test-vm-installed
test-vm-installed: deb-$(shell go env GOHOSTARCH) ## The Debian package in a virtual machine, over shutdowns and power cuts
	@./tools/deps.sh qemu-system-x86 debootstrap debian-archive-keyring e2fsprogs
	$(GOTEST) -count=1 -v -timeout 60m ./integration/vm -run '^TestInstalled$$'

HOURS ?= 100000
.PHONY: simulate
simulate: ## Live HOURS=100000 virtual hours of random pods and faults (the ordinary tests live 1,000)
	@mkdir -p bin
	$(GOTEST) -count=1 -v -timeout 0 ./pod -run '^(TestAnyLife|TestOracle)$$' -rapid.checks $$(($(HOURS) / 10)) -keep $(CURDIR)/bin/failed-life.txt

# rapid's seed is fixed, so that the score is always the same.
.PHONY: mutate
mutate: ## Break the core in small ways and see its tests fail (ONLY="restart.go phase.go:57" for a part)
	cd tools && go build -o ../bin/tools/mutate ./mutate
	bin/tools/mutate -tags grpcnotrace -last '^(TestAnyLife|TestOracle)$$' -least 90 \
		-args '-rapid.seed=1 -rapid.nofailfile -rapid.shrinktime=0s' ./pod $(ONLY)

.PHONY: bench-logs
bench-logs: build bundle ## Measure what 1 GiB of a container's output costs
	$(GOTEST) -count=1 -v -timeout 15m ./integration -run '^TestFlood$$' -flood 1024 | grep MiB

.PHONY: bench
bench: build bundle ## Run all benchmarks, and measure on real containerd how fast a first crash is answered
	$(GOTEST) -run '^$$' -bench . -benchmem $$($(BENCHED))
	$(GOTEST) -count=1 -v ./integration -run '^TestAFirstCrashIsAnsweredAtOnce$$' | grep -v '^=== '

# The packages that have benchmarks.
BENCHED := grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u

PREFIX ?= /usr/local

.PHONY: install
install: build bundle pages ## Install podd below $(DESTDIR)$(PREFIX), its configuration below $(DESTDIR)/etc
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" ./packaging/install.sh bin bin/pages

.PHONY: pages
pages: build # manual pages, completions, the default configuration
	./packaging/pages.sh bin/pages

.PHONY: deb
deb: deb-$(shell go env GOHOSTARCH) deb-arm64 ## Build Debian packages into bin/deb/, for this machine and for arm64

.PHONY: deb-$(shell go env GOHOSTARCH)
deb-$(shell go env GOHOSTARCH): build bundle tools pages
	./packaging/deb.sh $(@:deb-%=%) bin bin/pages bin/deb

ifneq ($(shell go env GOHOSTARCH),arm64)
.PHONY: deb-arm64
deb-arm64: tools pages bin/arm64/bundle/.built
	GOARCH=arm64 $(GOBUILD) -o bin/arm64/ ./cmd/podd ./cmd/podctl
	./packaging/deb.sh arm64 bin/arm64 bin/pages bin/deb

bin/arm64/bundle/.built: bundle/go.mod bundle/go.sum bundle/build.sh tools/arm64-libseccomp.sh
	@./tools/deps.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross pkg-config
	GOARCH=arm64 ./bundle/build.sh bin/arm64/bundle
	@touch $@
endif

.PHONY: clean
clean: ## Remove bin/
	rm -rf bin
