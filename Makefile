# `make help` lists what there is to do. Every tool is pinned in hack/tools, the
# control plane of the tests in hack/envtest; both are built from Go modules.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always 2>/dev/null || echo dev)
# The image that is built and deployed.
IMG ?= farpoint:$(VERSION)
CONTAINER_TOOL ?= docker
# The deployed overlay: config/namespaced for an operator with rights in some namespaces only.
CONFIG ?= config/default
# The kubectl on PATH, or the one that `make envtest` leaves in bin/k8s.
KUBECTL ?= $(or $(shell command -v kubectl 2>/dev/null),$(lastword $(wildcard bin/k8s/*/kubectl)),kubectl)

# Consumers that the tests read EndpointSlices with. The demo and the benchmarks do not need
# them.
READERS := coredns prometheus promql promtool

TOOLS := $(CURDIR)/hack/tools
CONTROLLER_GEN := go tool -modfile=$(TOOLS)/go.mod controller-gen
KUSTOMIZE := go tool -modfile=$(TOOLS)/go.mod kustomize
GINKGO := go tool -modfile=$(TOOLS)/go.mod ginkgo
CRD_REF_DOCS := go tool -modfile=$(TOOLS)/go.mod crd-ref-docs
GOLANGCI_LINT := go tool -modfile=$(TOOLS)/golangci-lint/go.mod golangci-lint

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*##"; printf "Usage: make \033[36m<target>\033[0m\n" } \
		/^[a-z0-9-]+:.*##/ { printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2 } \
		/^##@/ { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## See it work, on its own control plane. DEMO_SECONDS=n ends it after n seconds.
	go build -o bin/demo ./hack/demo
# exec: the demo gets Ctrl-C directly, and its exit status is make's.
	@export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(hack/envtest/build.sh); exec bin/demo

##@ Development

.PHONY: generate
generate: ## Write the deep copy functions.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate/boilerplate.go.txt paths=./...

.PHONY: manifests
manifests: ## Write the CRDs and the operator's role.
	$(CONTROLLER_GEN) rbac:roleName=manager-role crd paths=./... output:crd:artifacts:config=config/crd/bases

.PHONY: docs
docs: ## Write the references of API, metrics and flags: docs/{api,metrics,flags}.md.
	$(CRD_REF_DOCS) --log-level=ERROR --source-path=api --config=hack/docs/crd-ref-docs.yaml \
		--renderer=markdown --templates-dir=hack/docs --output-path=docs/api.md
# The tests that check these references also write them.
	go test -count=1 -run '^TestMetricsReference$$' ./controllers -write-docs
	go test -count=1 -run '^TestFlagReference$$' ./cmd/manager -write-docs

.PHONY: fmt
fmt: ## Format the code.
	$(GOLANGCI_LINT) fmt

.PHONY: vet
vet: ## Run go vet.
	go vet ./...

# Where govulncheck finds what is known: https://vuln.go.dev, a mirror, or a copy as file:///folder.
GOVULNDB ?= https://vuln.go.dev

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in the code that the binaries call. Needs the network, or $GOVULNDB.
	@go build -modfile=$(TOOLS)/go.mod -o bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	@timeout 30 bin/govulncheck -db '$(GOVULNDB)' -version | grep '^DB updated' || { \
		printf '%s\n' "vulncheck: cannot read the vulnerability database at $(GOVULNDB): nothing was checked." \
			"Run it where vuln.go.dev can be reached over HTTPS, or name a mirror or a local copy: make vulncheck GOVULNDB=file:///folder" >&2; \
		exit 1; \
	}
	timeout 600 bin/govulncheck -db '$(GOVULNDB)' ./...

.PHONY: lint
lint: ## Run golangci-lint.
	$(GOLANGCI_LINT) run

.PHONY: lint-fix
lint-fix: ## Run golangci-lint and let it fix what it can.
	$(GOLANGCI_LINT) run --fix

.PHONY: prose
prose: ## Check comments, messages and documents for constructions that hack/prose bans.
	go test ./hack/prose

.PHONY: envtest
envtest: ## Build the control plane and the readers for the tests into bin/k8s, and print the folder.
	@hack/envtest/build.sh $(READERS)

# The race detector, where there are a C compiler and its headers.
RACE = $(shell $$(go env CC) -include stdlib.h -x c -fsyntax-only /dev/null 2>/dev/null && echo -race)

# The specs of controllers wait more than they compute: PROCS processes share them, each with a
# control plane of its own, while go test runs all other tests.
PROCS ?= 4

.PHONY: test
test: ## Run all tests, with the race detector, and list what was skipped. TESTFLAGS='-run X -v' for some.
	@if [[ -z '$(RACE)' ]]; then \
		if [[ $${CI:-} == true ]]; then \
			echo "the race detector needs a C compiler and its headers: install gcc and libc6-dev" >&2; exit 1; \
		fi; \
		echo "no C compiler found: testing without the race detector" >&2; \
	fi; \
	export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(hack/envtest/build.sh $(READERS)); \
	status=0; $(MAKE) --no-print-directory --keep-going -j2 --output-sync=target \
		$(if $(TESTFLAGS),test-some,test-specs test-others) || status=$$?; \
	go run ./test/servers/missing; exit $$status

# These need KUBEBUILDER_ASSETS.
.PHONY: test-specs test-others test-some
test-specs test-others test-some: export CGO_ENABLED = $(if $(RACE),1,0)
test-specs: export GOGC = 400 # also of the API servers, which have memory enough
test-specs:
	$(GINKGO) -procs=$(PROCS) $(RACE) --timeout=30m --silence-skips ./controllers
test-others:
	go test $(RACE) -timeout 30m -skip '^TestControllers$$' ./...
test-some:
	go test $(RACE) -timeout 30m $(TESTFLAGS) ./...

.PHONY: test-long
test-long: ## Run all simulations in full, without the race detector. `make test` bounds them, see test/effort.
	go test -count=1 -timeout 2h -skip '^TestControllers$$' $(TESTFLAGS) ./probes/... ./controllers/...

# go test fuzzes one target at a time. An input that fails is stored in the package's testdata/fuzz.
FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## Run every fuzz target in the tree for $FUZZTIME each, a minute if not set.
	@targets=$$(git grep --untracked -E '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:func (\w+).*|./\1 \2|'); \
	failed=; while read -r package target; do \
		(set -x; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package") </dev/null || failed+=" $$target"; \
	done <<<"$$targets"; \
	if [[ -n $$failed ]]; then echo "These failed:$$failed. Fix them, and commit the new files in testdata/fuzz." >&2; exit 1; fi

.PHONY: nightly
nightly: test-long fuzz test-e2e-long ## What takes too long for each change: the three targets before, each in full; takes hours.

# e2e checks for itself whether the machine has what it needs. TESTFLAGS='-run TestDeaths' for some.
# Tests wait more than they compute: eight at one time do not disturb one another.
# PREVIOUS is the commit to upgrade from: the previous one, or this one if there is no other.
PREVIOUS ?= $(shell git rev-parse --quiet --verify HEAD~1 || echo HEAD)
E2E := go test -tags e2e -count=1 -parallel=8 -v ./test/e2e

.PHONY: test-e2e
test-e2e: e2e-binaries ## Measure traffic through every fault, in network namespaces (as root), to dist/e2e.{txt,json}.
	@export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(hack/envtest/build.sh kube-controller-manager kube-proxy); \
	set -x; $(E2E) -timeout=25m $(TESTFLAGS)

.PHONY: test-e2e-long
test-e2e-long: e2e-binaries ## The same with 20 random moments for each fault, and a control plane outage of a minute; takes hours.
	@export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(hack/envtest/build.sh kube-controller-manager kube-proxy); \
	set -x; $(E2E) -timeout=6h -repetitions=20 -outage=1m $(TESTFLAGS)

.PHONY: e2e-binaries
e2e-binaries: build
	CGO_ENABLED=0 go build -o bin/e2e-backend ./test/e2e/backend
	rm -rf dist/previous && mkdir -p dist/previous
	git archive $(PREVIOUS) | tar -x -C dist/previous
	cd dist/previous && CGO_ENABLED=0 go build -trimpath -o bin/manager ./cmd/manager

# BENCH_ONLY=cost or scale runs one part of the second half alone.
.PHONY: bench
bench: build ## Measure speed and cost, to dist/bench.{txt,json}. BENCH_SHORT=1 takes 2 minutes, not 10.
	@mkdir -p dist
	go build -o bin/bench ./test/bench
	go test -run '^$$' -bench . -benchtime $(if $(BENCH_SHORT),50ms -count 1,100ms -count 3) ./probes/... ./controllers/... | tee dist/bench.txt
# exec: the bench gets Ctrl-C directly, and its exit status is make's.
	@export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(hack/envtest/build.sh); exec bin/bench

.PHONY: verify
verify: manifests generate docs ## Fail if anything generated is stale or uncommitted, then vet, lint and prose.
	go mod tidy
	@changed=$$(git status --porcelain); \
	if [[ -n $$changed ]]; then \
		printf '%s\n' "The tree differs from its commit:" "$$changed" \
			"If these are generated: run 'make generate manifests docs' and 'go mod tidy', then commit." >&2; \
		exit 1; \
	fi
	@$(MAKE) --no-print-directory vet lint prose

##@ Build

.PHONY: build
build: ## Build bin/manager.
	CGO_ENABLED=0 go build -trimpath -o bin/manager ./cmd/manager

.PHONY: run
run: ## Run the operator on this machine against the current kubeconfig.
	go run ./cmd/manager --allow-loopback-probes --leader-elect=false

.PHONY: docker-build
docker-build: ## Build the image $IMG. BUILDFLAGS='--platform linux/arm64' for another architecture.
	$(CONTAINER_TOOL) build --label org.opencontainers.image.version=$(VERSION) --build-arg VERSION=$(VERSION) $(BUILDFLAGS) -t $(IMG) .

.PHONY: build-installer
build-installer: overlay ## Write the whole installation of $CONFIG with $IMG to dist/install.yaml.
	$(KUSTOMIZE) build dist/overlay > dist/install.yaml

.PHONY: clean
clean: ## Remove what was built, except the control plane in bin/k8s.
	rm -rf bin/manager bin/demo bin/bench bin/e2e-backend dist

##@ Deployment

.PHONY: install
install: ## Install the CRDs into the current cluster.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply -f -

.PHONY: uninstall
uninstall: ## Remove the CRDs, and with them all ExternalServices and policies, from the current cluster.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: overlay ## Install $CONFIG with $IMG into the current cluster, or upgrade it.
	$(KUSTOMIZE) build dist/overlay | $(KUBECTL) apply -f -

.PHONY: undeploy
undeploy: overlay ## Remove $CONFIG from the current cluster; config/default with the CRDs and all ExternalServices.
	$(KUSTOMIZE) build dist/overlay | $(KUBECTL) delete --ignore-not-found -f -

# The image is set in an overlay, so that deploying changes no file of the tree.
.PHONY: overlay
overlay:
	@mkdir -p dist/overlay
	@printf 'resources:\n- ../../%s\n' '$(CONFIG)' > dist/overlay/kustomization.yaml
	@cd dist/overlay && $(KUSTOMIZE) edit set image controller=$(IMG)
