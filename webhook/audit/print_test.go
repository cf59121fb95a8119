package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/image-webhook/image-webhook/webhook/report"
)

var full = Result{
	Policy: "configmap/image-policy in namespace image-webhook, version 0123456789ab", Assumed: "image-webhook is not installed",
	Summary: Summary{Namespaces: 4, Pods: 12345, Refused: 1002, Owners: 3},
	Namespaces: []Namespace{
		{Name: "kube-system", Mode: "excluded"}, {Name: "pay", Mode: "deny", Pods: 1, Refused: 1, Owners: 1}, {Name: "shop", Mode: "warn", Pods: 12343, Refused: 1001, Owners: 2},
		{Name: "shop2", Mode: "warn"}, {Name: "dev", Mode: "off", Pods: 1},
	},
	Findings: []Finding{
		{"pay", "deny", "pod/a", 1, "container", "a", "ngi\x1b[2Jnx\u202e", []report.Violation{{Rule: "tag", Reason: "one", Remedy: "do a"}, {Rule: "digest", Reason: "two", Remedy: "do b"}}},
		{"shop", "warn", "deployment/web", 1001, "volume", "data", "quay.io/data", []report.Violation{{Rule: "no_tag", Reason: "three", Remedy: "do c"}}},
	},
	MirrorRules: []MirrorRule{{"docker.io=hub.example", 2, MirrorPods{1000, 3}}},
	Mirrored: []Mirrored{
		{"a:1", "docker.io/library/a:1", "hub.example/library/a:1", "docker.io=hub.example", MirrorPods{1000, 0}},
		{"b:1", "docker.io/library/b:1", "hub.example/library/b:1", "docker.io=hub.example", MirrorPods{0, 3}},
	},
	Missing:  []Pair{{"docker.io/library/b:1", "hub.example/library/b:1"}},
	Problems: []Problem{{"secret", "no\nrights"}, {"", "cannot read jobs"}},
}

func TestPrint(t *testing.T) {
	const head = `policy: configmap/image-policy in namespace image-webhook, version 0123456789ab
modes: as in the manifests of this version, because image-webhook is not installed

`
	const tail = `
missing docker.io/library/b:1 hub.example/library/b:1
problem: namespace secret: no\nrights
problem: cannot read jobs
mode deny: 1 of 1 pod in 1 namespace would be refused if they were created today; owners to change: 1
mode warn: 1,001 of 12,343 pods in 2 namespaces would be refused after a switch to deny; owners to change: 2
mode off: 0 of 1 pod in 1 namespace would be refused after a switch to deny
incomplete: 2 problems
`
	for _, tt := range []struct {
		name   string
		wide   bool
		result Result
		want   string
	}{
		{"everything", false, full, head + `NAMESPACE  MODE  OWNER           PODS   USED BY      IMAGE               REASON
pay        deny  pod/a           1      container a  ngi\x1b[2Jnx\u202e  one; two
shop       warn  deployment/web  1,001  volume data  quay.io/data        three

MIRROR RULE            IMAGES  PODS ON MIRROR  PODS ON ORIGINAL
docker.io=hub.example  2       1,000           3
` + tail},
		{"everything, wide", true, full, head + `NAMESPACE  MODE  OWNER           PODS   USED BY      IMAGE               REASON
pay        deny  pod/a           1      container a  ngi\x1b[2Jnx\u202e  one: do a; two: do b
shop       warn  deployment/web  1,001  volume data  quay.io/data        three: do c

IMAGE  MIRROR                   PODS ON MIRROR  PODS ON ORIGINAL
a:1    hub.example/library/a:1  1,000           0
b:1    hub.example/library/b:1  0               3
` + tail},
		{"nothing is wrong", false, Result{Policy: "p", Namespaces: []Namespace{{Name: "a", Mode: "deny", Pods: 2}}},
			"policy: p\n\nmode deny: 0 of 2 pods in 1 namespace would be refused if they were created today\n"},
		{"only excluded", false, Result{Policy: "p", Namespaces: []Namespace{{Name: "kube-system", Mode: "excluded"}}},
			"policy: p\n\nno namespace was audited: no webhook is called for kube-system\n"},
		{"unknown mode", false, Result{Policy: "p", Namespaces: []Namespace{{Name: "a", Mode: modeUnknown, Pods: 2}}},
			"policy: p\n\nmode unknown: 0 of 2 pods in 1 namespace would be refused in the mode deny\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if err := tt.result.Print(&out, tt.wide); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintJSONKeepsEverything(t *testing.T) {
	var out strings.Builder
	if err := full.PrintJSON(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("the output has a control character")
	}
	var got Result
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, got, cmpopts.IgnoreUnexported(Namespace{})); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestEmptyListsAreNotNull(t *testing.T) {
	var out strings.Builder
	if err := newCollector(Options{Policy: "p"}).result().PrintJSON(&out); err != nil || strings.Contains(out.String(), "null") {
		t.Errorf("error %v, output:\n%s", err, out.String())
	}
}
