# image-webhook: every command a person needs. `make` or `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Variables that change what the targets do, as in `make fuzz FUZZTIME=10m`:
#   ENGINE=docker|podman   force a container engine; none: make demo uses none
#   K8S=1.36               the Kubernetes of the cluster and the tests (1.35, 1.36, 1.37)
#   KIND_NODE_IMAGE=REF    the cluster's node image, whatever K8S says
#   PULL_THROUGH=1         the mirror fetches from docker.io and registry.k8s.io what it lacks
#   KEEP=1                 make e2e keeps a cluster that it created
#   FOCUS=REGEXP           make e2e runs only the specs whose text matches
#   LABELS=FILTER          make e2e runs only the specs whose labels fit, such as '!dev-cluster'
#   PROCS=4                how many specs make e2e runs at the same time
#   KUBECONFIG=FILE        make e2e KUBECONFIG=FILE takes that cluster, and the webhook there
#   ANY_CLUSTER=1          that, and scripts/*.sh, take a cluster that is not made by kind
#   DEBIAN_MIRROR=URL      where the node image's Debian packages come from
#   FUZZTIME=30s           how long make fuzz runs each target
#   TILT=--sync            make tilt replaces the webhook in its running containers
#   NO_COLOR=1             no colour, not even on a terminal
export ENGINE K8S KIND_NODE_IMAGE FOCUS LABELS

STEP := scripts/step.sh
CLUSTER := bin/cluster
CONTROLPLANE := bin/controlplane
# Points what follows at the cluster of `make up`, and at no other if that is not there.
ON_CLUSTER = environment=$$($(CLUSTER) env) && eval "$$environment" &&
# Only `make e2e KUBECONFIG=FILE` means another cluster: in the environment, as kubectl
# reads it, KUBECONFIG may name one that no test must touch.
E2E = bin/e2e $(if $(PROCS),--procs=$(PROCS)) --focus="$$FOCUS" --label-filter="$$LABELS" $(if $(filter 1,$(KEEP)),--keep) \
	$(if $(filter line,$(origin KUBECONFIG)),--kubeconfig="$$KUBECONFIG")

##@ See it work

.PHONY: demo
demo: tools ## From nothing to a pod out of a mirror, by the scripts for doing it by hand
	@engine=$$($(CLUSTER) engine); case $$? in \
		0) $(MAKE) --no-print-directory demo-cluster ENGINE=$$engine ;; \
		3) $(MAKE) --no-print-directory demo-controlplane ;; \
		*) exit 1 ;; esac

# The demo on a kind cluster.
.PHONY: demo-cluster
demo-cluster: up
	@$(CLUSTER) load
	@$(ON_CLUSTER) scripts/install.sh && scripts/deny.sh && scripts/outage.sh && scripts/mirror.sh
	@printf '\n--- To go on by hand:\n\n%s\n%s\n%s\n%s\n' \
		'eval "$$($(CLUSTER) env)"    # points kubectl, and scripts/*.sh, at this cluster' \
		'make status                  # how the cluster and the webhook are' \
		'make uninstall               # removes the webhook and the pods of the demo' \
		'make down                    # deletes the cluster'

# What of the demo needs no container engine.
.PHONY: demo-controlplane
demo-controlplane: tools
	@printf '\n%s\n%s\n\n' '--- Without a container engine there is no cluster. Shown on a real API server alone:' \
		'    what is denied, and which image is stored. No pod will run.'
	@$(CONTROLPLANE) up
	@environment=$$($(CONTROLPLANE) env) && eval "$$environment" && export ANY_CLUSTER=1 && \
		scripts/deny.sh && scripts/rewrite.sh
	@printf '\n%s\n%s\n%s\n%s\n' '--- With Docker or podman, `make demo` makes a kind cluster, and also shows:' \
		'    how the webhook is installed by its manifests, as two replicas behind a Service,' \
		'    what is refused while it is away, and what is not,' \
		'    a pod that runs an image out of a mirror, and the page that it serves.'
	@printf '\n--- To go on by hand:\n\n%s\n%s\n' \
		'eval "$$($(CONTROLPLANE) env)"    # points kubectl at this API server' \
		'make down                         # ends it'

.PHONY: controlplane
controlplane: tools ## Start an API server with the webhook of this checkout, without containers
	@$(CONTROLPLANE) up

.PHONY: up
up: tools ## Create the kind cluster and the mirror in it, unless they are up
	@$(CLUSTER) up $(if $(filter 1,$(PULL_THROUGH)),--pull-through)

.PHONY: install
install: tools ## Build the image, load it, apply deploy/ (after `make up`)
	@$(CLUSTER) install

.PHONY: reload
reload: tools ## Build the image anew and roll it out (after `make install` and a change)
	@$(CLUSTER) reload

.PHONY: tilt
tilt: ## Roll the webhook out on every save, with Tilt
	@command -v tilt >/dev/null || { echo "make tilt: there is no tilt on the PATH, and this installs it:" \
		"curl -fsSL https://raw.githubusercontent.com/tilt-dev/tilt/master/scripts/install.sh | bash" >&2; exit 1; }
	@$(MAKE) --no-print-directory up
	@$(ON_CLUSTER) tilt up $(if $(TILT),-- $(TILT))

.PHONY: uninstall
uninstall: tools ## Remove the webhook from the cluster, by scripts/uninstall.sh
	@$(ON_CLUSTER) scripts/uninstall.sh

.PHONY: status
status: tools ## Show how the cluster and the webhook in it are
	@$(CLUSTER) status

.PHONY: down
down: tools ## Delete the cluster, and end the API server of `make controlplane`
	@$(CONTROLPLANE) down
	@$(CLUSTER) down || [ $$? -eq 3 ] # without a container engine there is none

##@ Build

.PHONY: image
image: tools ## Write the image archive, from scratch, without a daemon
	@go run ./tools/cmd/image

.PHONY: node-image
node-image: tools ## Build the kind node image from Go modules and Debian packages
	@go run ./tools/cmd/nodeimage

##@ Test

.PHONY: test
test: ## All that needs no cluster, with the race detector and on a real API server
	@$(STEP) "compile the tools" go build -o bin/ ./tools/cmd/controlplane
	@$(CONTROLPLANE) build
	@scripts/test.sh

.PHONY: e2e
e2e: tools ## The suite on a kind cluster, the one of `make up` if there is one
	@$(E2E)

.PHONY: e2e-debug
e2e-debug: tools ## The suite, stopping at the first failure, all that it left kept
	@$(E2E) --debug

.PHONY: loop
loop: tools ## Measure how long it takes from a saved file until the new webhook answers
	@scripts/loop.sh

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME each (30s)
	@$(STEP) "compile the fuzzer" go build -o bin/ ./tools/cmd/fuzz
	@bin/fuzz $(if $(FUZZTIME),--time=$(FUZZTIME))

.PHONY: record
record: tools ## Record the golden reviews from the cluster's API server
	@bin/e2e --record

.PHONY: verify
verify: ## Every check of the sources: all of them, then the verdict
	@scripts/verify.sh

##@ Clean

.PHONY: clean
clean: ## Delete what the targets wrote into this checkout
	rm -rf bin artifacts dist e2e/e2e.test

.PHONY: help
help: ## List the targets, and the variables that change what they do
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2} \
		/^#   [A-Z0-9_]+=/ {variables = variables "  " substr($$0, 5) "\n"} \
		END {printf "\nVariables, as in `make fuzz FUZZTIME=10m`\n%s", variables}' $(MAKEFILE_LIST)

# The tools are compiled once, in sight: from an empty cache it takes a minute.
.PHONY: tools
tools:
	@$(STEP) "compile the tools" go build -o bin/ ./tools/cmd/cluster ./tools/cmd/controlplane ./tools/cmd/e2e
