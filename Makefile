# image-webhook: every command of the project. `make` or `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Variables that change what the targets do, as in `make fuzz FUZZTIME=10m`:
#   ENGINE=docker|podman   container engine to use; none: make demo uses none
#   K8S=1.36               Kubernetes version of the cluster and the tests (1.35, 1.36, 1.37)
#   HYBRID=1               make up, make install and make e2e use the hybrid form; 0: the other one
#   NODES=2                nodes of the cluster that make up or make e2e creates (1 to 5)
#   KIND_NODE_IMAGE=REF    node image of the cluster; K8S is then ignored
#   PULL_THROUGH=1         the mirror fetches missing images from docker.io and registry.k8s.io
#   NETWORK_POLICY=1       the nodes of the cluster enforce NetworkPolicies
#   STATIC=1               make up and make controlplane let the API server read the policy from files
#   HOSTS_TOML=1           make up lets containerd on the nodes use the mirrors for all images
#   MONITORING=1           make up and make demo start Prometheus in the cluster
#   KEEP=1                 make e2e keeps a cluster that it created
#   FOCUS=REGEXP           make e2e runs only the specs whose text matches
#   LABELS=FILTER          make e2e runs only the specs whose labels match, such as '!dev-cluster'
#   PROCS=4                number of specs that make e2e runs in parallel
#   KUBECONFIG=FILE        make e2e KUBECONFIG=FILE tests the webhook in that cluster
#   ANY_CLUSTER=1          make e2e and scripts/*.sh accept a cluster that kind did not create
#   DEBIAN_MIRROR=URL      mirror of the Debian packages of the node image
#   FUZZTIME=30s           how long make fuzz runs each target
#   MATRIX=full            make test sends every request to every form, and leaves out no damage
#   SHORT=1                make bench takes a minute and writes no page; make chaos runs some events
#   OUTPUT=FILE            make chaos writes its report to this Markdown file too
#   TILT=--sync            make tilt replaces the webhook in its running containers
#   NO_COLOR=1             no color, not even on a terminal
export ENGINE K8S HYBRID NODES KIND_NODE_IMAGE FOCUS LABELS MATRIX

CLUSTER := bin/cluster
CONTROLPLANE := bin/controlplane
UP = $(CLUSTER) up $(if $(filter 1,$(PULL_THROUGH)),--pull-through) $(if $(filter 1,$(NETWORK_POLICY)),--network-policy) \
	$(if $(filter 1,$(MONITORING)),--monitoring) $(if $(filter 1,$(HOSTS_TOML)),--hosts-toml) \
	$(if $(filter 1,$(STATIC)),--static)
# Points the following commands at the cluster of `make up`; fails if it is not running.
ON_CLUSTER = environment=$$($(CLUSTER) env) && eval "$$environment" &&
# Only KUBECONFIG on make's command line selects another cluster. KUBECONFIG in the
# environment may name a cluster that no test must change.
E2E = bin/e2e $(if $(PROCS),--procs=$(PROCS)) --focus="$$FOCUS" --label-filter="$$LABELS" $(if $(filter 1,$(KEEP)),--keep) \
	$(if $(filter line,$(origin KUBECONFIG)),--kubeconfig="$$KUBECONFIG")

##@ See it work

.PHONY: demo
demo: $(if $(filter none,$(ENGINE)),demo-controlplane,demo-engine) ## Create a cluster, install the webhook and show what it does

# The demo on a kind cluster, or without one if no container engine answers.
.PHONY: demo-engine
demo-engine: bin/cluster
	@engine=$$($(CLUSTER) engine); case $$? in \
		0) $(MAKE) --no-print-directory demo-cluster ENGINE=$$engine ;; \
		3) $(MAKE) --no-print-directory demo-controlplane ;; \
		*) exit 1 ;; esac

# The demo on a kind cluster. `demo-engine` has compiled bin/cluster.
.PHONY: demo-cluster
demo-cluster: bin/kubectl-image_webhook
	@$(UP)
	@$(CLUSTER) load
	@$(ON_CLUSTER) scripts/install.sh && scripts/deny.sh && scripts/outage.sh && scripts/mirror.sh && scripts/audit.sh && \
		scripts/install-namespace-owner.sh && scripts/namespace-owner.sh
	@printf '\n--- Next steps:\n\n%s\n%s\n%s\n%s\n' \
		'eval "$$($(CLUSTER) env)"    # points kubectl, and scripts/*.sh, at this cluster' \
		'make status                  # shows the state of the cluster and the webhook' \
		'make uninstall               # removes the webhook, and what the demo created' \
		'make down                    # deletes the cluster'

# The part of the demo that needs no container engine.
.PHONY: demo-controlplane
demo-controlplane: bin/controlplane
	@printf '\n%s\n%s\n\n' '--- Without a container engine there is no cluster. The demo uses a bare API server and shows' \
		'    what is denied, which image is stored, and what the owner of a namespace can do. No pod runs.'
	@$(CONTROLPLANE) up
	@environment=$$($(CONTROLPLANE) env) && eval "$$environment" && export ANY_CLUSTER=1 && \
		scripts/deny.sh && scripts/rewrite.sh && scripts/namespace-owner.sh
	@printf '\n%s\n%s\n%s\n%s\n' '--- With Docker or podman, `make demo` creates a kind cluster, and also shows:' \
		'    how the manifests install the webhook, as two replicas behind a Service,' \
		'    which requests are rejected while no replica runs,' \
		'    a pod that runs an image from a mirror, and the page that it serves.'
	@printf '\n--- Next steps:\n\n%s\n%s\n' \
		'eval "$$($(CONTROLPLANE) env)"    # points kubectl at this API server' \
		'$(CONTROLPLANE) down             # stops it'

.PHONY: controlplane
controlplane: bin/controlplane ## Start an API server with the webhook of this checkout, without containers
	@$(CONTROLPLANE) up $(if $(filter 1,$(STATIC)),--static)

.PHONY: up
up: bin/cluster ## Create the kind cluster and the mirror in it, unless they are up
	@$(UP)

.PHONY: install
install: bin/cluster ## Build the image, load it, apply deploy/ (after `make up`)
	@$(CLUSTER) install

.PHONY: reload
reload: bin/cluster ## Build the image and roll it out (after `make install` and a change)
	@$(CLUSTER) reload

.PHONY: tilt
tilt: ## Roll the webhook out on every save, with Tilt
	@command -v tilt >/dev/null || { echo "make tilt: tilt is not on the PATH: install it with" \
		"curl -fsSL https://raw.githubusercontent.com/tilt-dev/tilt/master/scripts/install.sh | bash" >&2; exit 1; }
	@$(MAKE) --no-print-directory up
	@$(ON_CLUSTER) tilt up $(if $(TILT),-- $(TILT))

.PHONY: uninstall
uninstall: bin/cluster ## Remove the webhook from the cluster with scripts/uninstall.sh
	@$(ON_CLUSTER) scripts/uninstall.sh

.PHONY: status
status: bin/cluster bin/kubectl-image_webhook ## Show the state of the cluster, and check the webhook in it
	@$(CLUSTER) status
	@$(ON_CLUSTER) bin/kubectl-image_webhook status

.PHONY: down
down: bin/cluster ## Delete the cluster, and stop the API server of `make controlplane`
	@[ ! -x $(CONTROLPLANE) ] || $(CONTROLPLANE) down
	@$(CLUSTER) down || [ $$? -eq 3 ] # without a container engine there is no cluster

##@ Build

.PHONY: tools
tools: bin/cluster bin/controlplane bin/e2e bin/kubectl-image_webhook ## Compile the programs that the other targets call, into bin/

.PHONY: image
image: ## Build the image archive; needs no base image and no container engine
	@go run ./tools/cmd/image

.PHONY: node-image
node-image: ## Build the kind node image from Go modules and Debian packages
	@go run ./tools/cmd/nodeimage

##@ Test

.PHONY: unit
unit: ## Test the product's packages: no API server, no cluster
	@go test -skip Kustomize ./webhook/... ./deploy

.PHONY: test
test: bin/controlplane ## Run all tests that need no cluster, some on a real API server
	@$(CONTROLPLANE) build
	@scripts/test.sh

.PHONY: e2e
e2e: bin/cluster bin/e2e ## Run the Ginkgo suite on the cluster of `make up`, or on a new cluster
	@$(E2E)

.PHONY: e2e-debug
e2e-debug: bin/cluster bin/e2e ## Run the suite, stop at the first failure and keep everything
	@$(E2E) --debug

.PHONY: loop
loop: bin/cluster ## Measure the time from a saved file until the new webhook answers
	@scripts/loop.sh

.PHONY: fuzz
fuzz: bin/fuzz ## Run every fuzz target for FUZZTIME (30s)
	@bin/fuzz $(if $(FUZZTIME),--time=$(FUZZTIME))

.PHONY: bench
bench: bin/loadtest bin/controlplane ## Measure HTTP handlers, and all forms in an API server, for docs/performance.md
	@bin/loadtest handlers $(if $(filter 1,$(SHORT)),--short,--write)
	@trap '$(CONTROLPLANE) down --name=bench' EXIT; trap 'exit 130' INT TERM HUP; \
		$(CONTROLPLANE) up --name=bench --static && environment=$$($(CONTROLPLANE) env --name=bench) && eval "$$environment" && \
		bin/loadtest apiserver $(if $(filter 1,$(SHORT)),--short,--write)

.PHONY: chaos
chaos: bin/chaos ## Create pods while replicas and nodes fail, and count what is lost
	@bin/chaos $(if $(filter 1,$(SHORT)),--short) $(if $(OUTPUT),--output="$(OUTPUT)")

.PHONY: record
record: bin/e2e ## Record the golden reviews from the API server of the cluster
	@bin/e2e --record

.PHONY: verify
verify: ## Run all checks of the sources, and list those that failed
	@scripts/verify.sh

##@ Clean

.PHONY: clean
clean: ## Delete the files that the targets wrote into this checkout
	rm -rf bin artifacts dist e2e/e2e.test

.PHONY: help
help: ## List the targets, and the variables that change what they do
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2} \
		/^#   [A-Z0-9_]+=/ {variables = variables "  " substr($$0, 5) "\n"} \
		END {printf "\nVariables, as in `make fuzz FUZZTIME=10m`\n%s", variables}' $(MAKEFILE_LIST)

.PHONY: bin/cluster
bin/cluster:
	@scripts/compile.sh --prefetch=nodeimage ./tools/cmd/cluster

.PHONY: bin/controlplane
bin/controlplane:
	@scripts/compile.sh --prefetch=controlplane ./tools/cmd/controlplane

.PHONY: bin/e2e
bin/e2e:
	@scripts/compile.sh ./tools/cmd/e2e

.PHONY: bin/kubectl-image_webhook
bin/kubectl-image_webhook:
	@scripts/compile.sh ./webhook/cmd/kubectl-image_webhook

.PHONY: bin/fuzz
bin/fuzz:
	@scripts/compile.sh ./tools/cmd/fuzz

.PHONY: bin/loadtest
bin/loadtest:
	@scripts/compile.sh ./tools/cmd/loadtest

.PHONY: bin/chaos
bin/chaos:
	@scripts/compile.sh ./tools/cmd/chaos
