// Package e2e tests the webhook as its users have it: a real kind cluster with a
// mirror that the nodes pull from, the numbered manifests of deploy/, kubectl, and
// nothing of the webhook's own code.
//
// `make e2e` runs it, by tools/cmd/e2e, which brings up the cluster, installs the webhook
// and says by the environment where they are:
//
//	E2E_KUBECONFIG  the cluster; without it the suite skips itself, so that `go vet`
//	                and editors see it like any other package
//	E2E_KUBECTL     a kubectl
//	E2E_CLUSTER     the name of our own kind cluster; empty: it is another cluster,
//	                and specs with the label dev-cluster are left out
//	E2E_DEBUG       what a failed spec has made is kept
//
// Specs run in parallel and in random order, each in namespaces of its own. Those that
// change what they share with each other are Ordered; one that nobody can run beside is
// Serial.
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

// devCluster is the label of specs that need our own cluster: its nodes, its mirror,
// or an installation that nobody else uses.
const devCluster = "dev-cluster"

// target is the cluster.
var target = struct{ kubeconfig, kubectl, cluster string }{os.Getenv("E2E_KUBECONFIG"), os.Getenv("E2E_KUBECTL"), os.Getenv("E2E_CLUSTER")}

var (
	workshop mirror.Workshop // in which sample images are made, for all processes
	client   klient.Client
	// dryRuns is the namespace of specs that store nothing in it. Each process has its
	// own, so that what was asked about it was asked by the running spec.
	dryRuns string
)

func TestE2E(t *testing.T) {
	if target.kubeconfig == "" {
		t.Skip("it needs a cluster: run `make e2e`")
	}
	RegisterFailHandler(Fail)
	format.TruncatedDiff, format.MaxLength = false, 0 // what differs is all that counts
	EnforceDefaultTimeoutsWhenUsingContexts()         // or an Eventually with a context never ends
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "image-webhook")
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	connect()
	if target.cluster != "" {
		setUpMirror(ctx)
	}
	return []byte(workshop.Dir)
}, func(ctx SpecContext, handedOn []byte) {
	workshop.Dir = string(handedOn)
	connect()
	dryRuns = newNamespace(ctx)
}, NodeTimeout(5*time.Minute))

// setUpMirror fills the mirror with the sample images, and leads the nodes to it for
// the registry that has no mirror. The workshop stays for the specs that make images
// of their own.
func setUpMirror(ctx context.Context) {
	GinkgoHelper()
	c, m := openMirror(ctx)
	removeLeftovers(ctx, c, m)
	Expect(m.Lead(ctx, unmirrored, mirror.Name)).To(Succeed())
	opened, err := mirror.OpenWorkshop(ctx, progress.New(GinkgoWriter))
	Expect(err).NotTo(HaveOccurred())
	workshop = *opened
	Expect(m.PushSamples(ctx, opened, samples...)).To(Succeed())
}

// removeLeftovers removes what a run that was killed in a spec has left.
func removeLeftovers(ctx context.Context, c *devcluster.Cluster, m *mirror.Mirror) {
	GinkgoHelper()
	Expect(m.Remove(ctx, ownRegistries...)).To(Succeed())
	Expect(c.Kubectl("delete", "node", elsewhere, "--ignore-not-found").Run(ctx)).To(Succeed())
	Expect(c.Kubectl("delete", "namespaces,mutatingwebhookconfigurations", "-l", managed, "--wait=false").Run(ctx)).To(Succeed())
	Expect(c.RunOnNodes(ctx, "rm", "-rf", dockerHosts)).To(Succeed())
}

var _ = SynchronizedAfterSuite(func() {}, func() {
	if workshop.Dir != "" {
		Expect(os.RemoveAll(workshop.Dir)).To(Succeed())
	}
})

func connect() {
	GinkgoHelper()
	config, err := conf.New(target.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	config.WarningHandler = rest.NoWarnings{} // kubectl's specs assert the warnings
	config.QPS = -1                           // specs wait for conditions, and for nothing else
	client, err = klient.New(config)
	Expect(err).NotTo(HaveOccurred())
}

// The mirror's log is kept whatever happened: what a pull was answered with is
// nowhere else.
var _ = ReportAfterSuite("the mirror's log", func(ctx SpecContext, _ Report) {
	if target.cluster != "" {
		keepLog(ctx, mirror.Name)
	}
}, NodeTimeout(time.Minute))

// webhookServes waits until the API server really calls both sides of the webhook.
func webhookServes(ctx context.Context) {
	GinkgoHelper()
	Expect(probe.WaitServing(ctx, client.RESTConfig(), &progress.Step{})).To(Succeed())
}
