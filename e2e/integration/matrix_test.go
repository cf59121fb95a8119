package integration

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

// The matrix combines every field with an image, every operation on it, every kind of image
// and every mode. The expected results are computed without the webhook's code.

// mode is a value of the mode label of a namespace.
type mode struct {
	name   string // the value; "none" if the namespace does not have the label
	action action
	valid  bool // if false, new pods in the namespace get a warning about the mode
}

// action is the behavior of the webhook in a mode.
type action string

const (
	actionDeny action = "deny"
	actionWarn action = "warn"
	actionNone action = "none" // neither mirrors nor checks images
)

var modes = []mode{
	{"none", actionDeny, true},
	{"deny", actionDeny, true},
	{"warn", actionWarn, true},
	{"off", actionNone, true},
	{"of", actionDeny, false}, // a misspelt off
}

func (m mode) namespace() string { return "matrix-" + m.name }

func (m mode) labels() map[string]string {
	if m.name == "none" {
		return nil
	}
	return map[string]string{"image-webhook.dev/mode": m.name}
}

// expectation is the expected outcome of a request.
type expectation struct {
	Denied     bool
	Stored     string // the image; empty if the request is denied
	PullPolicy string
	Secrets    []string // the image pull secrets
	Warnings   []string // the start of each warning, sorted
}

// expect returns the expected outcome of a request in a namespace with this mode.
func (m mode) expect(use imageUse, image imageKind) expectation {
	want := expectation{Stored: image.written, PullPolicy: "Never", Secrets: use.secrets}
	if use.unchanged || m.action == actionNone {
		return want
	}
	if !use.template && !use.unmirrored {
		want.mutate(use, image)
	}
	faults := image.faultsIn(use)
	if len(faults) > 0 && m.action == actionDeny && !use.template {
		want = expectation{Denied: true}
	}
	for _, f := range faults {
		want.Warnings = append(want.Warnings, f.warning)
	}
	if !m.valid && use.creates() && !use.template {
		want.Warnings = append(want.Warnings, m.warning())
	}
	slices.Sort(want.Warnings)
	return want
}

// mutate applies the changes that the webhook makes to pods.
func (e *expectation) mutate(use imageUse, image imageKind) {
	e.Stored = image.stored
	if !use.creates() {
		return
	}
	e.PullPolicy = "Always"
	if !image.isMirrored() {
		return
	}
	for _, name := range policySecrets {
		if !slices.Contains(use.secrets, name) {
			e.Secrets = append(slices.Clip(e.Secrets), name)
		}
	}
}

// warning returns the start of the warning about an invalid mode.
func (m mode) warning() string { return `namespace "` + m.namespace() + `" is treated as deny: ` }

func TestMatrixHasTheExpectedOutcomes(t *testing.T) {
	t.Parallel()
	all := cases()
	server := startMatrixServer(t, all, localinstall.Options{})
	webhookCases.begin(all)
	for _, c := range all {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got := c.run(t, server)
			if diff := cmp.Diff(c.want, got.reduce(c)); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
			}
			webhookCases.add(t, c)
		})
	}
	t.Run("the plugin of kubectl says the same", func(t *testing.T) { checkCorpus(t, corpus(t), &webhookCorpus, server.serverVerdicts) })
}

// startMatrixServer starts an API server with an installation of the webhook that has matrixPolicy. The
// objects that the cases update are older than the installation, so they can have any image. Unlike
// the standard server, it does not have the plugin AlwaysPullImages, which does what imagePullPolicy
// does.
func startMatrixServer(t *testing.T, all []testCase, o localinstall.Options) *testServer {
	t.Helper()
	server := startExistingServer(t, all)
	file := filepath.Join(server.Dir, "matrix-policy.yaml")
	write(t, file, []byte(matrixPolicy))
	o.Args = map[string][]string{"image-webhook": {"--config=" + file}} // instead of the ConfigMap
	installed, err := server.installWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, installed) })
	return server
}

// startExistingServer starts an API server without an installation, with the objects that the cases update.
func startExistingServer(t *testing.T, all []testCase) *testServer {
	t.Helper()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) }) // it uses much memory
	server.createMatrixNamespaces(t)
	if err := server.createExisting(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	return server
}

// createMatrixNamespaces creates a namespace for each mode.
func (s *testServer) createMatrixNamespaces(t *testing.T) {
	t.Helper()
	for _, m := range modes {
		if _, err := s.createNamespace(t.Context(), metav1.ObjectMeta{Name: m.namespace(), Labels: m.labels()}); err != nil {
			t.Fatal(err)
		}
	}
}

func stop(t *testing.T, started interface{ Stop() error }) {
	t.Helper()
	if err := started.Stop(); err != nil {
		t.Error(err)
	}
}

// createExisting creates the objects of the matrix that exist before the webhook.
func (s *testServer) createExisting(ctx context.Context, all []testCase) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	created := map[string]bool{}
	for _, c := range all {
		name := c.mode.namespace() + "/" + c.request.object
		if c.creates() || created[name] {
			continue
		}
		created[name] = true
		group.Go(func() error { return c.request.prepare(ctx, s) })
	}
	return group.Wait()
}

// outcome is the result of a request.
type outcome struct {
	stored     string // the image
	pullPolicy string
	secrets    []string
	message    string // of an error
	warnings   []string
}

// reduce returns the outcome in the form of the expectation of a case. It accepts an error as
// a denial only if it comes from the webhook, names the field, and describes every fault. It
// shortens a warning to its expected start only if the rest is also correct.
func (o outcome) reduce(c testCase) expectation {
	reduced := expectation{Denied: o.denies(c), Stored: o.stored, PullPolicy: o.pullPolicy, Secrets: o.secrets}
	faults := c.image.faultsIn(c.imageUse)
	for _, text := range o.warnings {
		if c.isAboutAnother(text) {
			continue
		}
		if i := slices.IndexFunc(faults, func(f fault) bool { return f.isIn(text, c) }); i >= 0 {
			text = faults[i].warning
		} else if start := c.mode.warning(); strings.HasPrefix(text, start) {
			text = start
		}
		reduced.Warnings = append(reduced.Warnings, text)
	}
	slices.Sort(reduced.Warnings)
	return reduced
}

// isAboutAnother reports whether a warning is about the image of another case with the same request.
func (c testCase) isAboutAnother(text string) bool {
	return strings.Contains(text, "("+c.list()+"[") && !strings.Contains(text, "("+c.field+")")
}

// denies reports whether the outcome is the webhook's denial of a case.
func (o outcome) denies(c testCase) bool {
	return o.deniesWith(`admission webhook "validating.image-webhook.dev" denied the request: `, c)
}

// deniesWith reports whether the outcome is a denial of a case with these words.
func (o outcome) deniesWith(words string, c testCase) bool {
	lacks := func(f fault) bool { return !strings.Contains(o.message, f.denial) }
	return strings.Contains(o.message, words) &&
		strings.Contains(o.message, "("+c.field+")") && !slices.ContainsFunc(c.image.faultsIn(c.imageUse), lacks)
}

// caseCounts contains the numbers of passed cases: in total, by expectation, and those whose pods get
// Secrets.
type caseCounts struct {
	cases, requests                                      int // that were sent
	passed, denied, mirrored, warned, unchanged, secrets atomic.Int32
}

// String returns the numbers as text.
func (n *caseCounts) String() string {
	return fmt.Sprintf("%d denied, %d mirrored (%d with another Secret), %d only warned about, %d with the same image",
		n.denied.Load(), n.mirrored.Load(), n.secrets.Load(), n.warned.Load(), n.unchanged.Load())
}

// add counts a case, unless it failed.
func (n *caseCounts) add(t *testing.T, c testCase) {
	if t.Failed() {
		return
	}
	n.passed.Add(1)
	if len(c.want.Secrets) > len(c.secrets) {
		n.secrets.Add(1)
	}
	switch {
	case c.want.Denied:
		n.denied.Add(1)
	case c.want.Stored != c.image.written && c.want.Stored != "":
		n.mirrored.Add(1)
	case len(c.want.Warnings) > 0:
		n.warned.Add(1)
	default:
		n.unchanged.Add(1)
	}
}

// The results of the matrix and of the corpus, by what decides.
var (
	webhookCases, hybridCases, policyCases, staticCases, staticWebhookCases      caseCounts
	webhookCorpus, hybridCorpus, policyCorpus, staticCorpus, staticWebhookCorpus corpusCounts
)

// begin begins to count the results of cases.
func (n *caseCounts) begin(all []testCase) {
	requests := map[*matrixRequest]bool{}
	for _, c := range all {
		requests[c.request] = true
	}
	*n = caseCounts{cases: len(all), requests: len(requests)}
}

// sampled reports whether some forms are tested with every fifth request and manifest, and starts with every third
// damage of static files, so that `make test` stays short. With MATRIX=full, they are tested with all.
func sampled() bool { return os.Getenv("MATRIX") != "full" }

// sampleCorpus returns every fifth manifest of the corpus, or all.
func sampleCorpus(t *testing.T) (manifests []corpusManifest) {
	for i, m := range corpus(t) {
		if !sampled() || i%5 == 0 {
			manifests = append(manifests, m)
		}
	}
	return manifests
}

// sampleCases returns the cases of every fifth request, or all.
func sampleCases(all []testCase) []testCase {
	if !sampled() {
		return all
	}
	numbers := map[*matrixRequest]int{}
	return slices.DeleteFunc(all, func(c testCase) bool {
		if _, ok := numbers[c.request]; !ok {
			numbers[c.request] = len(numbers)
		}
		return numbers[c.request]%5 != 0
	})
}

// printMatrix prints a summary of the matrix for each form that was run.
func printMatrix(out io.Writer) {
	programs, err := kubebuild.FromEnvironment(suiteContext, root)
	if err != nil { // cannot happen after a run
		fmt.Fprintln(out, err)
		return
	}
	for _, form := range []struct {
		name   string
		cases  *caseCounts
		corpus *corpusCounts
	}{
		{"the webhook", &webhookCases, &webhookCorpus}, {"the hybrid form", &hybridCases, &hybridCorpus},
		{"policies of the API server", &policyCases, &policyCorpus}, {"static files of the API server", &staticCases, &staticCorpus},
		{"a webhook in static files", &staticWebhookCases, &staticWebhookCorpus},
	} {
		if form.cases.passed.Load() == 0 {
			continue
		}
		fmt.Fprintf(out, "matrix of %s on Kubernetes %s: %d of %d cases as expected in %d requests: %s\n",
			form.name, programs.Release, form.cases.passed.Load(), form.cases.cases, form.cases.requests, form.cases)
		fmt.Fprintf(out, "check of manifests and %s: %s\n", form.name, form.corpus)
	}
}
