// Package e2e tests the webhook as its users run it: on a kind cluster whose nodes pull
// from a mirror, with the numbered manifests of deploy/ and with kubectl. It must not use
// the webhook's code.
//
// `make e2e` runs it with tools/cmd/e2e, which creates the cluster, installs the webhook
// and sets these environment variables:
//
//	E2E_KUBECONFIG  the kubeconfig of the cluster; without it the suite skips itself, so
//	                that `go vet` and editors treat it like any other package
//	E2E_KUBECTL     the path of kubectl
//	E2E_CLUSTER     the name of our kind cluster; if it is empty, the suite uses another
//	                cluster, and specs with the label dev-cluster do not run
//	E2E_HYBRID      1: the webhook is installed in the hybrid form
//	E2E_STATIC      1: the API server reads the policy from files
//	E2E_DEBUG       if it is not empty, the namespaces of failed specs are kept
//
// Specs run in parallel and in random order, each in its own namespaces. Specs that change
// shared state are Ordered. A spec that would disturb all others is Serial.
package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"
	"sigs.k8s.io/e2e-framework/klient/conf"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// devCluster is the label of specs that need our own cluster: its nodes, its mirror, or an
// installation that only the suite uses.
const devCluster = "dev-cluster"

// target is the cluster that the specs use.
var target = struct{ kubeconfig, kubectl, cluster string }{os.Getenv("E2E_KUBECONFIG"), os.Getenv("E2E_KUBECTL"), os.Getenv("E2E_CLUSTER")}

var (
	sampleBuilder mirror.SampleBuilder // its directory is shared by all processes
	client        klient.Client
	// dryRuns is the namespace for specs that store no objects. Each process has its own,
	// so that all requests in it belong to the running spec.
	dryRuns string
)

func TestE2E(t *testing.T) {
	if target.kubeconfig == "" {
		t.Skip("the suite needs a cluster: run `make e2e`")
	}
	RegisterFailHandler(Fail)
	format.TruncatedDiff, format.MaxLength = false, 0 // show values in full
	EnforceDefaultTimeoutsWhenUsingContexts()         // without it, an Eventually with a context never ends
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "image-webhook")
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	connect()
	if target.cluster != "" {
		setUpMirror(ctx)
	}
	return []byte(sampleBuilder.Dir)
}, func(ctx SpecContext, sampleDir []byte) {
	sampleBuilder.Dir = string(sampleDir)
	connect()
	dryRuns = newNamespace(ctx)
}, NodeTimeout(5*time.Minute))

// setUpMirror pushes the sample images to the mirror, and configures the nodes to pull
// images of the unmirrored registry from it. It keeps the builder for specs that build
// images.
func setUpMirror(ctx context.Context) {
	GinkgoHelper()
	cluster, m := openMirror(ctx)
	removeLeftovers(ctx, cluster, m)
	Expect(m.RouteHost(ctx, unmirrored, mirror.Name)).To(Succeed())
	builder, err := mirror.NewSampleBuilder(ctx, progress.New(GinkgoWriter))
	Expect(err).NotTo(HaveOccurred())
	sampleBuilder = *builder
	Expect(m.PushSamples(ctx, builder, samples...)).To(Succeed())
}

// removeLeftovers removes the objects of a killed run, and what would change the results of pulls.
func removeLeftovers(ctx context.Context, cluster *devcluster.Cluster, m *mirror.Mirror) {
	GinkgoHelper()
	Expect(m.Remove(ctx, specRegistries...)).To(Succeed())
	Expect(cluster.Kubectl("delete", "node", foreignNode, "--ignore-not-found").Run(ctx)).To(Succeed())
	Expect(cluster.Kubectl("delete", managedByKinds, "-l", managedByLabel, "--wait=false").Run(ctx)).To(Succeed())
	if !hasNodeMirrors(ctx) {
		Expect(cluster.RunOnNodes(ctx, "rm", "-rf", dockerHosts)).To(Succeed())
	}
	Expect(cluster.RunOnNodes(ctx, "sh", "-c", removeUnmirroredImages)).To(Succeed())
}

var _ = SynchronizedAfterSuite(func() {}, func() {
	if sampleBuilder.Dir != "" {
		Expect(os.RemoveAll(sampleBuilder.Dir)).To(Succeed())
	}
})

func connect() {
	GinkgoHelper()
	config, err := conf.New(target.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	config.WarningHandler = rest.NoWarnings{} // specs assert warnings in the output of kubectl
	config.QPS = -1                           // no client-side rate limit: it would slow down the specs
	client, err = klient.New(config)
	Expect(err).NotTo(HaveOccurred())
}

// The mirror's log is always saved, because only it contains the responses to pulls.
var _ = ReportAfterSuite("the mirror's log", func(ctx SpecContext, _ Report) {
	if target.cluster != "" {
		saveRegistryLog(ctx, mirror.Name)
	}
}, NodeTimeout(time.Minute))

// webhookServes waits until the API server calls the mutating webhook, and the validating webhook or
// the policy denies.
func webhookServes(ctx context.Context) {
	GinkgoHelper()
	Expect(probe.WaitServing(ctx, client.RESTConfig(), &progress.Step{})).To(Succeed())
}
