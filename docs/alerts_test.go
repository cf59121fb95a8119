package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const runbook = "docs/operations.md"

// alert is a rule in deploy/monitoring/rules.yaml.
type alert struct {
	Name        string            `json:"alert"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "deploy/monitoring/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(content, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// entry matches a heading of the runbook and the severity after it.
var entry = regexp.MustCompile(`(?m)^#### (ImageWebhook\w+)\n\n(\w+): `)

func TestEveryAlertHasARunbookEntry(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, runbook))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, a := range alerts(t) {
		want = append(want, a.Name+" "+a.Labels["severity"])
	}
	for _, match := range entry.FindAllStringSubmatch(string(content), -1) {
		got = append(got, match[1]+" "+strings.ToLower(match[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("names and severities (-rules.yaml +%s):\n%s", runbook, diff)
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	const page = "https://github.com/image-webhook/image-webhook/blob/main/" + runbook + "#"
	var anchors []string
	for _, heading := range readPage(t, runbook).Headings {
		anchors = append(anchors, heading.Anchor)
	}
	for _, a := range alerts(t) {
		anchor := strings.ToLower(a.Name)
		if got := a.Annotations["runbook_url"]; got != page+anchor || !slices.Contains(anchors, anchor) {
			t.Errorf("%s: runbook_url is %q, want %s", a.Name, got, page+anchor)
		}
		if severity := a.Labels["severity"]; severity != "warning" && severity != "critical" {
			t.Errorf("%s: severity %q", a.Name, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if text := a.Annotations[annotation]; !strings.HasSuffix(text, ".") {
				t.Errorf("%s: the %s is not a sentence: %q", a.Name, annotation, text)
			}
		}
	}
}
