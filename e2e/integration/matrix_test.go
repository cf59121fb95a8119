package integration

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

// imageKind is a kind of image.
type imageKind struct {
	name    string
	written string
	stored  string // the reference after mirroring
	fault   string // the start of the warning; empty if the image is allowed
}

const pinned = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var imageKinds = []imageKind{
	{"from Docker Hub", "nginx:1.25", "docker.mirror.example/library/nginx:1.25", ""},
	{"from registry.k8s.io", "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10", ""},
	{"without a mirror", "quay.io/team/app:1.2", "quay.io/team/app:1.2", ""},
	{"latest with a digest", "nginx:latest" + pinned, "docker.mirror.example/library/nginx:latest" + pinned, ""},
	{"latest", "nginx:latest", "docker.mirror.example/library/nginx:latest", "use `latest` tag is not allowed"},
	{"untagged", "quay.io/team/app", "quay.io/team/app", "use `latest` tag is not allowed"},
	{"invalid", "Nginx:1", "Nginx:1", "invalid image reference"},
}

// expectation is the expected outcome of a request.
type expectation struct {
	Denied   bool
	Stored   string   // the image; empty if the request is denied
	Warnings []string // the start of each warning
}

// expect returns the expected outcome of a request in a namespace with this mode.
func (m mode) expect(use imageUse, image imageKind) expectation {
	want := expectation{Stored: image.written}
	if use.unchanged || m.action == actionNone {
		return want
	}
	if !use.template {
		want.Stored = image.stored
	}
	if image.fault != "" {
		want.Warnings = append(want.Warnings, image.fault+": ")
	}
	if image.fault != "" && m.action == actionDeny && !use.template {
		want.Denied, want.Stored = true, ""
	}
	if !m.valid && use.name == "CREATE" && !use.template {
		want.Warnings = append(want.Warnings, `namespace "`+m.namespace()+`" is treated as deny: `)
	}
	return want
}

func TestMatrixHasTheExpectedOutcomes(t *testing.T) {
	if counts.passed.Load() > 0 {
		t.Skip("the objects of the matrix already exist: the test can run only once per API server")
	}
	server := standardServer(t)
	for _, c := range cases() {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got := c.run(t, server)
			if diff := cmp.Diff(c.want, got.reduce(c), cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
			}
			countCase(t, c)
		})
	}
}

// outcome is the result of a request.
type outcome struct {
	stored   string // the image
	message  string // of an error
	warnings []string
}

// reduce returns the outcome in the form of the expectation of a case. It accepts an error as
// a denial only if it comes from the webhook and names the field. It shortens a warning to
// its expected start only if the rest is also correct.
func (o outcome) reduce(c testCase) expectation {
	reduced := expectation{Stored: o.stored}
	reduced.Denied = strings.HasPrefix(o.message, `admission webhook "validating.image-webhook.dev" denied the request: `) &&
		strings.Contains(o.message, "("+c.field+")")
	for _, text := range o.warnings {
		i := slices.IndexFunc(c.want.Warnings, func(start string) bool { return strings.HasPrefix(text, start) && hasExpectedDetails(text, c) })
		if i >= 0 {
			text = c.want.Warnings[i]
		}
		reduced.Warnings = append(reduced.Warnings, text)
	}
	return reduced
}

// hasExpectedDetails reports whether a warning about an image names the field and, if the
// mode denies the pods of a template, says that they will be denied.
func hasExpectedDetails(text string, c testCase) bool {
	if !strings.HasPrefix(text, c.image.fault+": ") {
		return true
	}
	return strings.Contains(text, "("+c.field+") has image ") &&
		strings.HasSuffix(text, "; its pods will be denied") == (c.template && c.mode.action == actionDeny)
}

// counts contains the numbers of passed cases, in total and by expectation.
var counts struct{ passed, denied, mirrored, warned, unchanged atomic.Int32 }

func countCase(t *testing.T, c testCase) {
	counts.passed.Add(1)
	switch {
	case t.Failed():
		counts.passed.Add(-1)
	case c.want.Denied:
		counts.denied.Add(1)
	case c.want.Stored != c.image.written && c.want.Stored != "":
		counts.mirrored.Add(1)
	case len(c.want.Warnings) > 0:
		counts.warned.Add(1)
	default:
		counts.unchanged.Add(1)
	}
}

// printMatrix prints a summary of the matrix, if it was run.
func printMatrix(out io.Writer) {
	if counts.passed.Load() == 0 {
		return
	}
	programs, err := kubebuild.FromEnvironment(suiteContext, root)
	if err != nil { // cannot happen after a run
		fmt.Fprintln(out, err)
		return
	}
	fmt.Fprintf(out, "matrix on Kubernetes %s: %d of %d cases as expected: %d denied, %d mirrored, %d only warned about, %d unchanged\n",
		programs.Release, counts.passed.Load(), len(cases()), counts.denied.Load(), counts.mirrored.Load(), counts.warned.Load(), counts.unchanged.Load())
}
