package chaos

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/progress"
)

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
	one := slices.DeleteFunc(names(events), func(name string) bool { return name == "drain" || name == "node-killed" })
	for _, test := range []struct {
		name  string
		nodes int
		names []string
		short bool
		want  []string
	}{
		{"all", 2, nil, false, names(events)},
		{"on one node", 1, nil, false, one},
		{"short", 2, nil, true, []string{"renewal-rollout", "drain"}},
		{"short on one node", 1, nil, true, []string{"renewal-rollout"}},
		{"by name, in the usual order", 1, []string{"flux", "rollout-2"}, false, []string{"rollout-2", "flux"}},
	} {
		selected, err := selectEvents(test.nodes, test.names, test.short, progress.New(io.Discard))
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
	if _, err := selectEvents(1, nil, false, progress.New(&out)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("Without the event drain: it needs 2 nodes, and the cluster has 1.\nWithout the event node-killed: it needs 2 nodes, and the cluster has 1.\n", out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	_, err := selectEvents(1, []string{"drain"}, false, progress.New(io.Discard))
	want := "event drain needs 2 nodes, and the cluster has 1: create one with `make down` and `NODES=2 make up install`"
	if err == nil || err.Error() != want {
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
