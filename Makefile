# Everything that a person or the continuous integration runs. Versions of tools are pinned in
# the go.mod files of test/tools and of kubernetes, karpenter and prometheus in test/cluster only.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Builds do not depend on how, and by whom, the checkout was made.
export GOFLAGS += -buildvcs=false

# KUBE=1.31.14 runs all that starts a control plane on that version of Kubernetes.
ifdef KUBE
export FOREWARM_KUBE := $(KUBE)
endif

MODULES := . manifests/image test/tools test/chart test/browser test/monitoring/operator test/cluster/kubernetes test/cluster/kubernetes/1.31 test/cluster/schedulers/1.36 test/cluster/schedulers/1.35 test/cluster/karpenter test/cluster/prometheus test/cluster/certmanager test/bench/extender/perf
# Those of them that hold Go code, without the one for which Kubernetes' own tests would have to be compiled.
LINTED := . manifests/image test/chart test/browser test/monitoring/operator test/cluster/certmanager
FUZZTIME ?= 30s

# Packages whose tests start a control plane, and all others. In the first, one package runs at a
# time, and in it at most two tests: what mostly waits says so by t.Parallel; what loads its control
# plane, or has a bound on time, runs alone.
IMPORTS = go list -f '{{.ImportPath}} {{join .Imports " "}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./...
CLUSTER_PACKAGES = $(IMPORTS) | grep 'forewarm.dev/test/cluster' | cut -d' ' -f1
UNIT_PACKAGES = $(IMPORTS) | grep -v 'forewarm.dev/test/cluster' | cut -d' ' -f1

##@ Daily

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build webhook, extender, reserver, console and forewarmctl, the last also as a kubectl plugin, into ./bin.
	go build -o bin/ ./cmd/...
	ln -sf forewarmctl bin/kubectl-forewarm && ln -sf forewarmctl bin/kubectl_complete-forewarm

.PHONY: unit
unit: ## Run the tests that need no control plane (under a minute).
	packages=$$($(UNIT_PACKAGES)); go test -short $$packages

.PHONY: test
test: control-plane browser ## Build the control plane if needed, then run all tests. KUBE=1.31.14 for an older one
	packages=$$($(UNIT_PACKAGES)); go test -timeout 10m $$packages
	packages=$$($(CLUSTER_PACKAGES)); go test -timeout 30m -p 1 -parallel 2 $$packages
	cd test/cluster/certmanager && go build -o /dev/null . # minutes the first time, which are none of a test's
	for module in test/chart test/browser test/monitoring/operator manifests/image; do (cd "$$module" && go test -timeout 15m ./...); done

.PHONY: test-long
test-long: control-plane ## Run the long forms of tests: 200 seeds of coverage, traces of a year, 20 rotations, bursts of takeovers, 1,000 series of a Prometheus, quiet watches (40 minutes).
	FOREWARM_LONG=1 go test -count=1 -timeout 20m -v -run 'UpperQuantiles|BandFollows' ./forecast
	FOREWARM_LONG=1 go test -count=1 -timeout 10m -v -run TestLongTraces ./cmd/forewarmctl/simulation
	FOREWARM_LONG=1 go test -count=1 -timeout 60m -v -run 'TestRotation|TestAThousandSeries|TestTakeoverBurst|TestQuiet' ./test/integration

.PHONY: fmt
fmt: linters ## Format the source.
	bin/golangci-lint fmt ./...

.PHONY: generate
generate: linters ## Write deep copies and CRDs from the API types, plain manifests and the page of values from the chart, dashboards, docs/reference*.md.
	bin/controller-gen object crd:crdVersions=v1 paths=./api/... output:crd:dir=manifests/crd
	cd test/chart && go run ./write ../..
	go run ./internal/monitoring/write manifests/monitoring
	go run ./internal/reference/write manifests/crd docs/reference.md internal/config docs/reference-config.md

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s).
	go list -f '{{range .TestGoFiles}}{{$$.Dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$.Dir}}/{{.}} {{end}}' ./... | tr ' ' '\n' | \
	  { xargs -r grep -Eo '^func Fuzz[A-Za-z0-9_]+' /dev/null || true; } | while IFS=: read -r file target; do \
	    echo "$${target#func } in $$(dirname "$$file")"; \
	    (cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x . </dev/null); \
	  done

##@ Images

.PHONY: image
image: ## Make OCI images of all programs in bin/images, without a container engine. VERSION= PLATFORMS= PUSH=REGISTRY/FOLDER
	@cd manifests/image && go run . $(if $(VERSION),--version '$(VERSION)') $(if $(PLATFORMS),--platforms '$(PLATFORMS)') $(if $(PUSH),--push '$(PUSH)') $(ARGS)

##@ On a real control plane

# The program is built and then replaces the shell, so that an interrupt reaches it.
.PHONY: demo
demo: control-plane ## Compare Karpenter alone with Forewarm. TRACE= CLUSTER= START= HOURS= SEED= FACTOR=
	@go build -o bin/demo ./test/demo
	@exec bin/demo $(if $(TRACE),--trace='$(TRACE)') $(if $(CLUSTER),--cluster='$(CLUSTER)') $(if $(START),--start='$(START)') \
	  $(if $(HOURS),--hours='$(HOURS)') $(if $(SEED),--seed='$(SEED)') $(if $(FACTOR),--factor='$(FACTOR)') $(ARGS)

.PHONY: playground
playground: control-plane build ## Start everything, print the kubeconfig, and run until interrupted.
	@go build -o bin/playground ./test/demo/playground
	@exec bin/playground $(ARGS)

.PHONY: chaos
chaos: control-plane ## Kill, stop and cut off everything under load, and hold Forewarm to its invariants (20 minutes). SEED= DURATION= ONLY= CLOCK=0 NODES= PODS=
	@go build -o bin/chaos ./test/chaos
	@exec bin/chaos $(if $(SEED),--seed='$(SEED)') $(if $(DURATION),--duration='$(DURATION)') $(if $(ONLY),--only='$(ONLY)') \
	  $(if $(CLOCK),--clock='$(CLOCK)') $(if $(NODES),--nodes='$(NODES)') $(if $(PODS),--pods='$(PODS)') $(ARGS)

.PHONY: screenshots
screenshots: control-plane browser ## Take the pictures of the console and, where there is npm, the dashboards in docs/images (15 minutes).
	@command -v npm >/dev/null || echo "screenshots: no npm, so that the dashboards' are not taken"
	mkdir -p docs/images && cd test/browser && go test -count=1 -timeout 30m -run 'TestConsoleUnderLoad|TestDashboards' . -args -screenshots '$(CURDIR)/docs/images'

# An older scheduler beside the newest API server: the build takes some minutes for each, once.
.PHONY: test-schedulers
test-schedulers: control-plane ## Run the extender's protocol suite against older kube-schedulers (10 minutes). SCHEDULERS='1.36 1.35'
	for version in $(or $(SCHEDULERS),1.36 1.35); do \
	  folder=$$(go run ./test/cluster/install scheduler-$$version); \
	  KUBEBUILDER_ASSETS=$$folder go test -count=1 -timeout 10m -run 'TestProtocol$$' -v ./test/integration; \
	done

##@ Benchmarks

.PHONY: bench-forecast
bench-forecast: ## Score the forecasts on a folder of series, on made ones, or on M4 Hourly. DATA=FOLDER or M4=TRAIN M4TEST=TEST
	go run ./test/bench/forecast --data '$(DATA)' --m4 '$(M4)' --m4-test '$(M4TEST)'

.PHONY: bench-capacity
bench-capacity: ## Replay traces on a simulated pool with each arm (about 10 minutes). DATA=FOLDER of replay/ and series/
	@go build -o bin/bench-capacity ./test/bench/capacity
	@exec bin/bench-capacity --data '$(DATA)' $(ARGS)

.PHONY: bench-webhook
bench-webhook: control-plane ## Measure what admission costs, beside a no-op, a typed validator and the in-tree policy (14 minutes). PEERS=1 ARGS=
	@go build -o bin/bench-webhook ./test/bench/webhook
	@exec bin/bench-webhook $(if $(PEERS),--peers) $(ARGS)

.PHONY: bench-webhook-memory
bench-webhook-memory: control-plane ## Measure the memory of the webhook with 10,000 Namespaces and 100,000 workloads (half an hour). ARGS=
	@go build -o bin/bench-webhook ./test/bench/webhook
	@exec bin/bench-webhook --memory $(ARGS)

# The first build of scheduler_perf takes some minutes, on top of the control plane's; Go caches it.
.PHONY: bench-extender
bench-extender: control-plane ## Measure what the extender costs the scheduler, by scheduler_perf (an hour). NODES= ARGS='--pairs 3'
	@go build -o bin/ ./cmd/extender && go build -o bin/extender-stub ./test/bench/extender/stub && go build -o bin/bench-extender ./test/bench/extender
	@echo "building scheduler_perf (minutes the first time)" >&2; cd test/bench/extender/perf && go test -c -vet=off -trimpath -o $(CURDIR)/bin/scheduler-perf .
	@exec bin/bench-extender $(if $(NODES),--nodes '$(NODES)') $(ARGS)

.PHONY: peers
peers: ## Build what bench-webhook PEERS=1 measures beside Forewarm (half an hour).
	@go run ./test/cluster/install peers

##@ Checks

.PHONY: verify
verify: verify-generated verify-tidy verify-lint ## Check that generated files, go.mod files, format, lint and architecture are right.
	go test -count=1 ./test/architecture
	@echo "verify: all is right"

.PHONY: verify-generated
verify-generated: linters
	work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	bin/controller-gen object crd:crdVersions=v1 paths=./api/... output:object:dir="$$work/object" output:crd:dir="$$work/crd"; \
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$$work/object/zz_generated.deepcopy.go" && diff -ru manifests/crd "$$work/crd" || \
	  { echo "generated files are stale; run: make generate" >&2; exit 1; }
	cd test/chart && go test -count=1 -run 'TestLint|TestGenerated' .
	go test -count=1 ./internal/reference

.PHONY: verify-tidy
verify-tidy:
	for module in $(MODULES); do (cd "$$module" && go mod tidy -diff) || \
	  { echo "go.mod or go.sum is not tidy; run: cd $$module && go mod tidy" >&2; exit 1; }; done

.PHONY: verify-lint
verify-lint: linters
	bin/golangci-lint fmt --diff ./... || { echo "not formatted; run: make fmt" >&2; exit 1; }
	for module in $(LINTED); do (cd "$$module" && $(CURDIR)/bin/golangci-lint run ./...) || { echo "in $$module" >&2; exit 1; }; done

.PHONY: vulncheck
vulncheck: ## Look in our programs for known vulnerabilities that they can reach. DB=file:///FOLDER
	@says=$$(go tool -modfile=test/tools/go.mod govulncheck $(if $(DB),-db '$(DB)') ./cmd/... 2>&1) && code=0 || code=$$?; echo "$$says"; \
	case "$$says" in *"fetching vulnerabilities: "*) echo "vulncheck: SKIPPED: the database of vulnerabilities cannot be reached; name a copy with DB=file:///FOLDER";; \
	  *) exit $$code;; esac

##@ Set-up

.PHONY: tools
tools: control-plane linters ## Build the control plane (about 10 minutes the first time) and the linters into the cache.

.PHONY: control-plane
control-plane:
	@go run ./test/cluster/install control-plane

# The console's tests skip, and say so, where there is no browser.
.PHONY: browser
browser: ## Install Chromium for the console's tests, as root on Debian; elsewhere install it yourself.
	@command -v chromium chromium-browser google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } || echo "browser: no Chromium, so that test/browser skips"

.PHONY: linters
linters:
	@go run ./test/cluster/install linters

.PHONY: clean
clean: ## Remove what was built in the checkout; the cache of tools stays.
	rm -rf bin test/demo/out
