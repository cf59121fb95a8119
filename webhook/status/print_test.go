package status

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var printed = newReport([]Check{
	checkNamespace.ok("namespace/image-webhook", "exists"),
	checkModes.info("", "mode off, no webhook is called: ci"),
	checkPriority.warning("deployment/webhook", "kubectl apply -f deploy/04-webhook.yaml", "has priority class %q", ""),
	checkCABundle.problem("mutatingwebhookconfiguration/image-webhook", "a && b", "caBundle is missing"),
	checkServed.unread("pod/a", errors.New("pods \"a\" not found")),
})

func TestTextHasOneLineForEachCheckAndFix(t *testing.T) {
	var got strings.Builder
	if err := printed.Print(&got, false); err != nil {
		t.Fatal(err)
	}
	const want = `RESULT   CHECK               MESSAGE
ok       namespace           namespace/image-webhook: exists
info     modes               mode off, no webhook is called: ci
warning  priority            deployment/webhook: has priority class ""
                             fix: kubectl apply -f deploy/04-webhook.yaml
problem  ca-bundle           mutatingwebhookconfiguration/image-webhook: caBundle is missing
                             fix: a && b
unknown  served-certificate  pod/a: not checked: pods "a" not found
not healthy: 1 problem, 1 unknown, 1 warning
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestColorsChangeOnlyTheResult(t *testing.T) {
	var plainText, colored strings.Builder
	if err := printed.Print(&plainText, false); err != nil {
		t.Fatal(err)
	}
	if err := printed.Print(&colored, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colored.String(), "\n\033[31mproblem\033[0m  ca-bundle") {
		t.Errorf("problem is not red:\n%q", colored.String())
	}
	without := strings.NewReplacer("\033[31m", "", "\033[32m", "", "\033[33m", "", "\033[0m", "").Replace(colored.String())
	if diff := cmp.Diff(plainText.String(), without); diff != "" {
		t.Errorf("(-plain +colored):\n%s", diff)
	}
}

func TestJSONIsStable(t *testing.T) {
	var got strings.Builder
	if err := newReport(printed.Checks[1:4]).PrintJSON(&got); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "healthy": false,
  "checks": [
    {
      "name": "modes",
      "result": "info",
      "message": "mode off, no webhook is called: ci"
    },
    {
      "name": "priority",
      "result": "warning",
      "object": "deployment/webhook",
      "message": "has priority class \"\"",
      "fix": "kubectl apply -f deploy/04-webhook.yaml"
    },
    {
      "name": "ca-bundle",
      "result": "problem",
      "object": "mutatingwebhookconfiguration/image-webhook",
      "message": "caBundle is missing",
      "fix": "a && b"
    }
  ]
}
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
