// Package e2e tests the webhook as its users have it: a real kind cluster with a
// mirror that the nodes pull from, the numbered manifests of deploy/, kubectl, and
// nothing of the webhook's own code.
//
// `make e2e` runs it. Without E2E=1 the suite skips itself, so that `go vet` and
// editors see it like any other package and `go test ./...` stays without a
// cluster. It uses the cluster of `make up` if there is one. A cluster that it
// had to create is deleted at the end, unless a spec failed or KEEP=1 is set.
package e2e

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"
	"sigs.k8s.io/e2e-framework/klient/conf"

	"github.com/image-webhook/image-webhook/tools/cluster/devcluster"
	"github.com/image-webhook/image-webhook/tools/mirror"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/serving"
)

// setUpLimit bounds the set-up: it may build the node image from nothing.
const setUpLimit = 45 * time.Minute

// setUp is what the first process hands to the others.
type setUp struct {
	Kubeconfig string
	Kubectl    string
	Created    bool   // by this run
	Namespace  string // for specs that store nothing in it
	Workshop   string // folder in which sample images are made
}

var (
	shared setUp
	client klient.Client
)

func TestE2E(t *testing.T) {
	if os.Getenv("E2E") == "" {
		t.Skip("it needs a cluster: run `make e2e`")
	}
	RegisterFailHandler(Fail)
	EnforceDefaultTimeoutsWhenUsingContexts() // or an Eventually with a context never ends
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "image-webhook")
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	c, err := devcluster.OpenOrInstall(ctx, devcluster.DefaultName, report())
	Expect(err).NotTo(HaveOccurred())
	shared = setUp{Kubeconfig: c.Kubeconfig(), Kubectl: c.KubectlPath()}
	shared.Created, err = c.Up(ctx)
	Expect(err).NotTo(HaveOccurred())
	setUpMirror(ctx, c)
	contentRef, err := c.Load(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(c.Install(ctx, contentRef)).To(Succeed())
	connect()
	shared.Namespace = newNamespace(ctx)
	handedOn, err := json.Marshal(shared)
	Expect(err).NotTo(HaveOccurred())
	return handedOn
}, func(_ SpecContext, handedOn []byte) {
	Expect(json.Unmarshal(handedOn, &shared)).To(Succeed())
	connect()
}, NodeTimeout(setUpLimit), PollProgressAfter(setUpLimit)) // it reports its own progress

// setUpMirror brings up the mirror with the sample images, and the registry that
// has no mirror. The workshop stays for the specs that make images of their own.
func setUpMirror(ctx context.Context, c *devcluster.Cluster) {
	GinkgoHelper()
	m, err := mirror.Open(c, report())
	Expect(err).NotTo(HaveOccurred())
	removeLeftovers(ctx, c, m)
	Expect(m.Install(ctx)).To(Succeed())
	Expect(m.Lead(ctx, unmirrored, mirror.Name)).To(Succeed())
	workshop, err := mirror.OpenWorkshop(ctx, report())
	Expect(err).NotTo(HaveOccurred())
	shared.Workshop = workshop.Dir
	Expect(m.PushSamples(ctx, workshop, samples...)).To(Succeed())
}

// removeLeftovers removes what a run that was killed in a spec has left.
func removeLeftovers(ctx context.Context, c *devcluster.Cluster, m *mirror.Mirror) {
	GinkgoHelper()
	Expect(m.Remove(ctx, ownRegistries...)).To(Succeed())
	Expect(c.Kubectl("delete", "node", elsewhere, "--ignore-not-found").Run(ctx)).To(Succeed())
	Expect(c.RunOnNodes(ctx, "rm", "-rf", dockerHosts)).To(Succeed())
}

var _ = SynchronizedAfterSuite(func() {}, func() {
	if shared.Workshop != "" {
		Expect(os.RemoveAll(shared.Workshop)).To(Succeed())
	}
})

func connect() {
	GinkgoHelper()
	config, err := conf.New(shared.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	config.WarningHandler = rest.NoWarnings{} // kubectl's specs assert the warnings
	client, err = klient.New(config)
	Expect(err).NotTo(HaveOccurred())
}

// The mirror's log is kept whatever happened: what a pull was answered with is
// nowhere else.
var _ = ReportAfterSuite("the mirror's log", func(ctx SpecContext, _ Report) {
	if _, err := os.Stat(shared.Kubectl); err == nil { // else there never was a cluster
		keepLog(ctx, mirror.Name)
	}
}, NodeTimeout(time.Minute))

var _ = ReportAfterSuite("the cluster", func(ctx SpecContext, r Report) {
	if os.Getenv("E2E") == "" || !shared.Created {
		return
	}
	report().Note("") // ends Ginkgo's row of dots
	if !r.SuiteSucceeded || os.Getenv("KEEP") != "" {
		report().Note("The cluster is left as it is: `make status` shows it, `make down` deletes it.")
		return
	}
	c, err := devcluster.Open(ctx, devcluster.DefaultName, report())
	Expect(err).NotTo(HaveOccurred())
	Expect(c.Down(ctx)).To(Succeed())
}, NodeTimeout(5*time.Minute))

// report writes where a person sees it at once; Ginkgo's own writer keeps the
// output of a node back until it fails.
func report() *progress.Reporter { return progress.New(os.Stderr) }

// webhookServes waits until the API server really calls both sides of the webhook.
func webhookServes(ctx context.Context) {
	GinkgoHelper()
	Expect(serving.Wait(ctx, client.RESTConfig(), &progress.Step{})).To(Succeed())
}
