package celpolicy

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// items returns n items of a list in YAML. The format has a number.
func items(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - "+format+"\n", i)
	}
	return b.String()
}

// longPolicy returns a policy with n items in each list. All images are on one mirror, which is the most
// expensive case.
func longPolicy(n int) string {
	return "mirrors:\n" + items(n, "{source: registry-%[1]d.example/team, mirror: mirror.example/source-%[1]d}") +
		"disallowedTags:\n" + items(n, "'tag-%d-*'") +
		"allowedRegistries:\n  - registry.example\n" + items(n, "mirror.example/source-%d") +
		"requireDigest:\n" + items(n, "registry-%d.example/team/production") +
		"exemptImages:\n" + items(n, "registry-%d.example/team/nightly") +
		"deniedImages:\n" + items(n, "{image: 'registry-%[1]d.example/team/denied', reason: CVE-2026-%[1]d}")
}

func read(t testing.TB, text string) *admission.Rules {
	t.Helper()
	rules, err := policy.Read("policy.yaml", []byte(head+text), policy.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestPoliciesAreWithinTheLimits(t *testing.T) {
	for name, text := range map[string]string{"the default": "", "50 items in each list": longPolicy(50)} {
		t.Run(name, func(t *testing.T) {
			rules := read(t, text)
			objects, err := New(rules, Options{For: release})
			if err != nil {
				t.Fatal(err)
			}
			cost, err := objects.Measure(rules, release)
			if err != nil {
				t.Fatal(err)
			}
			if cost.Deny == 0 || cost.Deny > CostLimit/4 || cost.Mirror > CostLimit/4 || (cost.Mirror == 0) != (text == "") {
				t.Errorf("the cost is %+v, want at most a quarter of %d", cost, CostLimit)
			}
		})
	}
}

func TestRefusesWhatPoliciesCannotExpress(t *testing.T) {
	for _, c := range []struct {
		name, text string
		options    Options
		want       string
	}{
		{
			"mirrors on Kubernetes 1.35", policies["mirrors"], Options{For: version.MajorMinor(1, 35)},
			"cannot write policies for Kubernetes 1.35: mirrors needs MutatingAdmissionPolicy, which is not stable there: use Kubernetes 1.36 or newer, or add --validating and let the webhook mirror",
		},
		{
			"imagePullPolicy on Kubernetes 1.35", "imagePullPolicy: Always\n", Options{For: version.MajorMinor(1, 35)},
			"cannot write policies for Kubernetes 1.35: imagePullPolicy needs MutatingAdmissionPolicy, which is not stable there: use Kubernetes 1.36 or newer, or add --validating and let the webhook mirror",
		},
		{
			"an old Kubernetes", "", Options{For: version.MajorMinor(1, 34), Form: Hybrid},
			"cannot write policies for Kubernetes 1.34: it lacks CEL functions: use Kubernetes 1.35 or newer, or the webhook",
		},
		{
			"a list that is too expensive", "allowedRegistries:\n" + items(420, "r.example/%04d"+strings.Repeat("/team", 40)), Options{For: release},
			"allowedRegistries exceeds the API server's cost limit for a pod with 100 images: shorten it, or use the webhook",
		},
		{
			"a list that is too long", "deniedImages:\n" + items(3000, "{image: 'registry.example/team/application-%04d:1', reason: old}"), Options{For: release},
			"deniedImages is too long for an expression of the API server: shorten it, or use the webhook",
		},
		{
			"an object that is too large", "deniedImages:\n" + items(2500, "{image: 'registry.example/team/application-%04d:1', reason: "+strings.Repeat("old", 150)+"}"), Options{For: release},
			"the ValidatingAdmissionPolicy has ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := read(t, c.text)
			objects, err := New(rules, c.options)
			if err == nil {
				_, err = objects.Measure(rules, c.options.For)
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func TestHybridFormOnKubernetes135HasOnlyThePolicyThatDenies(t *testing.T) {
	rules := read(t, policies["every field"])
	objects, err := New(rules, Options{For: version.MajorMinor(1, 35), Form: Hybrid})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Measure(rules, version.MajorMinor(1, 35)); err != nil {
		t.Error(err)
	}
	if len(objects.Validating) != 1 || len(objects.Mutating) != 0 || objects.Validating[0].Name != Name {
		t.Errorf("got %d and %d policies, want one that validates", len(objects.Validating), len(objects.Mutating))
	}
}
