# image-webhook: every command a person needs. `make` or `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Variables that change what the targets do:
#   ENGINE=docker|podman   force a container engine
#   KIND_NODE_IMAGE=REF    the cluster's node image, instead of finding or building one
#   PULL_THROUGH=1         the mirror fetches from docker.io and registry.k8s.io what it lacks
#   KEEP=1                 make e2e keeps a cluster that it created
#   FOCUS=REGEXP           make e2e runs only the specs that match
#   DEBIAN_MIRROR=URL      where the node image's Debian packages come from
#   FUZZTIME=30s           how long make fuzz runs each target
export ENGINE KIND_NODE_IMAGE KEEP

STEP := scripts/step.sh
CLUSTER := bin/cluster
# Points what follows at the cluster of `make up`, and at no other if that is not there.
ON_CLUSTER = environment=$$($(CLUSTER) env) && eval "$$environment" &&
GINKGO = E2E=1 go tool ginkgo run $$(test -t 1 || echo --no-color) --fail-on-empty --randomize-all --timeout=60m \
	--poll-progress-after=60s --output-dir=artifacts --junit-report=e2e.xml \
	$(if $(FOCUS),--focus='$(FOCUS)') $(if $(GITHUB_ACTIONS),--github-output)

##@ See it work

.PHONY: demo
demo: up ## From nothing to a page out of a mirror, by the scripts for doing it by hand
	@$(CLUSTER) load
	@$(ON_CLUSTER) scripts/install.sh && scripts/deny.sh && scripts/away.sh && scripts/mirror.sh
	@printf '\n--- To go on by hand:\n\n%s\n%s\n%s\n%s\n' \
		'eval "$$($(CLUSTER) env)"    # points kubectl, and scripts/*.sh, at this cluster' \
		'make status                  # how the cluster and the webhook are' \
		'make uninstall               # removes the webhook and the pods of the demo' \
		'make down                    # deletes the cluster'

.PHONY: up
up: tools ## Create the kind cluster and the mirror in it, unless they are up
	@$(CLUSTER) up $(if $(filter 1,$(PULL_THROUGH)),--pull-through)

.PHONY: install
install: tools ## Build the image, load it, apply deploy/ (after `make up`)
	@$(CLUSTER) install

.PHONY: uninstall
uninstall: tools ## Remove the webhook from the cluster, by scripts/uninstall.sh
	@$(ON_CLUSTER) scripts/uninstall.sh

.PHONY: status
status: tools ## Show how the cluster and the webhook in it are
	@$(CLUSTER) status

.PHONY: down
down: tools ## Delete the cluster
	@$(CLUSTER) down

##@ Build

.PHONY: image
image: tools ## Write the image archive, from scratch, without a daemon
	@go run ./tools/image

.PHONY: node-image
node-image: tools ## Build the kind node image from Go modules and Debian packages
	@go run ./tools/nodeimage

##@ Test

.PHONY: test
test: ## Everything that needs no cluster, with the race detector
	@$(STEP) "compile the tools" go build -o bin/need ./tools/need
	@bin/need "to use the race detector" gcc=gcc,libc6-dev
	@$(STEP) "compile the tests" scripts/compile-tests.sh
	go test -race $$(go list ./... | grep -v /e2e$$)

.PHONY: e2e
e2e: ## The suite on a kind cluster, the one of `make up` if there is one
	@$(STEP) "compile the suite" go test -c -o e2e/e2e.test ./e2e
	@mkdir -p artifacts
	@$(GINKGO) e2e/e2e.test

.PHONY: e2e-debug
e2e-debug: ## The suite, stopping at the first failure, the cluster kept
	@$(STEP) "compile the suite" go test -c -o e2e/e2e.test ./e2e
	@mkdir -p artifacts
	@KEEP=1 $(GINKGO) --fail-fast -v e2e/e2e.test

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME each (30s)
	@go run ./tools/fuzz --time $(or $(FUZZTIME),30s)

.PHONY: record
record: ## Record the golden reviews from the cluster's API server
	@$(STEP) "compile the suite" go test -c -o e2e/e2e.test ./e2e
	@mkdir -p artifacts
	@RECORD=1 $(GINKGO) --label-filter=record e2e/e2e.test

.PHONY: verify
verify: ## Every check of the sources: all of them, then the verdict
	@scripts/verify.sh

##@ Clean

.PHONY: clean
clean: ## Delete what the targets wrote into this checkout
	rm -rf bin artifacts e2e/e2e.test

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The tools are compiled once, in sight: from an empty cache it takes a minute.
.PHONY: tools
tools:
	@$(STEP) "compile the tools" go build -o $(CLUSTER) ./tools/cluster
