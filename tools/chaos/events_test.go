package chaos

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// checkout returns a directory with files or directories in deploy/.
func checkout(t *testing.T, parts ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, part := range append(parts, ".") {
		if err := os.MkdirAll(filepath.Join(root, "deploy", part), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func names(selected []event) (found []string) {
	for _, e := range selected {
		found = append(found, e.name)
	}
	return found
}

func TestEventsHaveUniqueNamesForACommandLine(t *testing.T) {
	all := names(events)
	for i, name := range all {
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(name) || slices.Index(all, name) != i {
			t.Errorf("event %q: use a unique name of lower-case letters, digits and dashes", name)
		}
	}
	if got := strings.Count(List(), "\n"); got != len(all) {
		t.Errorf("the list has %d lines, want %d", got, len(all))
	}
}

func TestSelectEvents(t *testing.T) {
	complete := checkout(t, cronJobManifest, gitopsComponent)
	for _, test := range []struct {
		name, root string
		names      []string
		short      bool
		want       []string
	}{
		{"all", complete, nil, false, names(events)},
		{"without the CronJob and the component", checkout(t), nil, false, []string{"rollout-1", "rollout-2", "rollout-3", "06-before-03", "03-rollout-06"}},
		{"short", complete, nil, true, []string{"rollout-1", "renewal-rollout"}},
		{"by name, in the usual order", complete, []string{"flux", "rollout-2"}, false, []string{"rollout-2", "flux"}},
	} {
		selected, err := selectEvents(test.root, test.names, test.short, progress.New(io.Discard))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, names(selected)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestSelectEventsNamesWhatIsMissing(t *testing.T) {
	var out bytes.Buffer
	if _, err := selectEvents(checkout(t, cronJobManifest), nil, false, progress.New(&out)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("Without the event argocd: this checkout has no deploy/gitops.\nWithout the event flux: this checkout has no deploy/gitops.\n", out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	_, err := selectEvents(checkout(t), []string{"renewal-1"}, false, progress.New(io.Discard))
	if want := "event renewal-1 needs deploy/07-renew.yaml"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got the error %v, want %s", err, want)
	}
}

func TestCheckNames(t *testing.T) {
	if err := CheckNames(names(events)); err != nil {
		t.Error(err)
	}
	want := `unknown event "rollout": use names of --list`
	if err := CheckNames([]string{"rollout-1", "rollout"}); err == nil || err.Error() != want {
		t.Errorf("got the error %v, want %s", err, want)
	}
}
