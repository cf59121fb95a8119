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

// The matrix: every place of an image, every way in which it comes into the cluster
// or stays there, every kind of image, every mode. What is expected is written down
// here once more, in other words than the webhook's.

// mode is a namespace's label and what it asks for.
type mode struct {
	name  string // of the label's value; "none": without the label
	does  verb
	known bool // or its pods are warned about it
}

// verb is what is done about images.
type verb string

const (
	denies verb = "denies"
	warns  verb = "warns"
	rests  verb = "rests" // mirrors nothing, says nothing
)

var modes = []mode{
	{"none", denies, true},
	{"deny", denies, true},
	{"warn", warns, true},
	{"off", rests, true},
	{"of", denies, false}, // misspelt
}

func (m mode) namespace() string { return "matrix-" + m.name }

func (m mode) labels() map[string]string {
	if m.name == "none" {
		return nil
	}
	return map[string]string{"image-webhook.dev/mode": m.name}
}

// picture is a kind of image.
type picture struct {
	name    string
	written string
	stored  string // where images are mirrored
	fault   string // what a warning says of it; empty: it may run
}

const aDigest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var pictures = []picture{
	{"of Docker Hub", "nginx:1.25", "docker.mirror.example/library/nginx:1.25", ""},
	{"of registry.k8s.io", "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10", ""},
	{"without a mirror", "quay.io/team/app:1.2", "quay.io/team/app:1.2", ""},
	{"latest with a digest", "nginx:latest" + aDigest, "docker.mirror.example/library/nginx:latest" + aDigest, ""},
	{"latest", "nginx:latest", "docker.mirror.example/library/nginx:latest", "use `latest` tag is not allowed"},
	{"untagged", "quay.io/team/app", "quay.io/team/app", "use `latest` tag is not allowed"},
	{"unreadable", "Nginx:1", "Nginx:1", "image reference cannot be read"},
}

// wanted is what must come of a request.
type wanted struct {
	Refused  bool
	Stored   string   // the image; of what is refused: none
	Warnings []string // how each begins
}

// expect is what a mode makes of an image in a request.
func (m mode) expect(w way, image picture) wanted {
	want := wanted{Stored: image.written}
	if w.keeps || m.does == rests {
		return want
	}
	if !w.template {
		want.Stored = image.stored
	}
	if image.fault != "" {
		want.Warnings = append(want.Warnings, image.fault+": ")
	}
	if image.fault != "" && m.does == denies && !w.template {
		want.Refused, want.Stored = true, ""
	}
	if !m.known && w.name == "CREATE" && !w.template {
		want.Warnings = append(want.Warnings, `namespace "`+m.namespace()+`" is treated as deny: `)
	}
	return want
}

func TestMatrix(t *testing.T) {
	if tally.all.Load() > 0 {
		t.Skip("its objects are there already: it runs once with each API server")
	}
	p := standard(t)
	for _, c := range cases() {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got := c.run(t, p)
			if diff := cmp.Diff(c.want, got.as(c), cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("the API server's answer (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
			}
			count(t, c)
		})
	}
}

// outcome is what came of a request.
type outcome struct {
	stored   string // the image
	message  string // of a refusal
	warnings []string
}

// as reduces what came to the form of what was wanted. A refusal counts only if it is
// the webhook's and names the field, a warning only if it begins and goes on as wanted.
func (o outcome) as(c testCase) wanted {
	w := wanted{Stored: o.stored}
	w.Refused = strings.HasPrefix(o.message, `admission webhook "validating.image-webhook.dev" denied the request: `) &&
		strings.Contains(o.message, "("+c.field+")")
	for _, text := range o.warnings {
		i := slices.IndexFunc(c.want.Warnings, func(begin string) bool { return strings.HasPrefix(text, begin) && goesOn(text, c) })
		if i >= 0 {
			text = c.want.Warnings[i]
		}
		w.Warnings = append(w.Warnings, text)
	}
	return w
}

// goesOn checks what a warning says after its beginning: of an image, where it is, and
// of a template what will become of its pods.
func goesOn(text string, c testCase) bool {
	if !strings.HasPrefix(text, c.image.fault+": ") {
		return true
	}
	return strings.Contains(text, "("+c.field+") has image ") &&
		strings.HasSuffix(text, "; its pods will be denied") == (c.template && c.mode.does == denies)
}

// tally counts the cases that were run.
var tally struct{ all, refused, mirrored, warned, untouched atomic.Int32 }

func count(t *testing.T, c testCase) {
	tally.all.Add(1)
	switch {
	case t.Failed():
		tally.all.Add(-1)
	case c.want.Refused:
		tally.refused.Add(1)
	case c.want.Stored != c.image.written && c.want.Stored != "":
		tally.mirrored.Add(1)
	case len(c.want.Warnings) > 0:
		tally.warned.Add(1)
	default:
		tally.untouched.Add(1)
	}
}

// printMatrix says how much was tried, if it was.
func printMatrix(out io.Writer) {
	if tally.all.Load() == 0 {
		return
	}
	programs, err := kubebuild.FromEnvironment(all, root)
	if err != nil { // nothing would have been tried
		fmt.Fprintln(out, err)
		return
	}
	fmt.Fprintf(out, "matrix on Kubernetes %s: %d of %d cases as expected: %d refused, %d mirrored, %d only warned about, %d left as they are\n",
		programs.Release, tally.all.Load(), len(cases()), tally.refused.Load(), tally.mirrored.Load(), tally.warned.Load(), tally.untouched.Load())
}
