package integration

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
)

// The policies that `kubectl image-webhook policy` writes must have the verdicts of the webhook, on an API
// server without the webhook.

// policyWarning begins the warnings of policies.
const policyWarning = "Validation failed for ValidatingAdmissionPolicy '"

// startPolicyServer starts an API server with matrixPolicy as policies. It skips the test if the API server
// has no MutatingAdmissionPolicy.
func startPolicyServer(t *testing.T, all []testCase) *testServer {
	t.Helper()
	server := startExistingServer(t, all)
	if _, err := server.client.AdmissionregistrationV1().MutatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{}); apierrors.IsNotFound(err) {
		t.Skip("this Kubernetes version has no MutatingAdmissionPolicy v1")
	}
	server.createObjects(t, policyObjects(t, runPolicy(t, matrixPolicy, "--for=1.36")))
	server.waitForPolicies(t)
	return server
}

// runPolicy runs `kubectl image-webhook policy` for a policy file, and returns its output.
func runPolicy(t *testing.T, policy string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, []byte(policy))
	output, err := exec.CommandContext(t.Context(), buildPlugin(t), append([]string{"policy", "--config=" + file}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(output)
}

// policyObjects returns the objects of a manifest.
func policyObjects(t *testing.T, manifest string) (objects []*unstructured.Unstructured) {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); err == io.EOF {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}

// createObjects creates cluster-scoped objects, without a warning of the API server.
func (s *testServer) createObjects(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		ctx, texts := collectWarnings(t.Context())
		if _, err := s.objects.Resource(resource).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(*texts) > 0 {
			t.Errorf("%s %s: the API server warns %q", object.GetKind(), object.GetName(), *texts)
		}
	}
}

// waitForPolicies waits until every policy and every binding has an effect.
func (s *testServer) waitForPolicies(t *testing.T) {
	t.Helper()
	warns := func(ctx context.Context, w corpusKind, m mode) bool {
		object := w.object("probe", w.podSpec([3]string{"quay.io/team/app", allowedImage, allowedImage}))
		_, texts, err := s.dryRunObject(t, w.resource, m, object)
		return len(texts) > 0 || apierrors.IsForbidden(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pod := corpusKinds[0].object("probe", corpusKinds[0].podSpec([3]string{"nginx:1", allowedImage, allowedImage}))
		stored, _, err := s.dryRunObject(t, pods, modes[1], pod)
		mirrored := err == nil && textAt(t, stored.Object, pathKeys(container)) != "nginx:1"
		active := mirrored
		for _, w := range []corpusKind{corpusKinds[0], corpusKinds[3]} { // pods and Deployments
			active = active && warns(ctx, w, modes[1]) && warns(ctx, w, modes[2])
		}
		return active && warns(ctx, corpusKinds[0], modes[4]), nil
	})
	if err != nil {
		t.Fatal("the API server does not apply the policies:", err)
	}
}

func TestPoliciesHaveTheVerdictsOfTheWebhook(t *testing.T) {
	t.Parallel()
	all := cases()
	server := startPolicyServer(t, all)
	checkPolicies(t, server, all, corpus(t), &policyCases, &policyCorpus)
}

func TestStaticPoliciesHaveTheVerdictsOfTheWebhook(t *testing.T) {
	t.Parallel()
	all := sampleCases(cases())
	server := startStaticServer(t, "")
	server.createMatrixNamespaces(t)
	if err := server.createExisting(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	server.writeFiles(t, matrixPolicy)
	server.waitForPolicies(t)
	checkPolicies(t, server.testServer, all, sampleCorpus(t), &staticCases, &staticCorpus)
}

// checkPolicies runs the matrix and the corpus on an API server with policies.
func checkPolicies(t *testing.T, server *testServer, all []testCase, manifests []corpusManifest, counts *caseCounts, corpus *corpusCounts) {
	counts.begin(all)
	for _, c := range all {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got := c.run(t, server)
			if diff := cmp.Diff(c.wantOfPolicies(), got.reduceOfPolicies(c)); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
			}
			counts.add(t, c)
		})
	}
	t.Run("check says the same", func(t *testing.T) { checkCorpus(t, manifests, corpus, server.policyVerdicts) })
}

// withoutSuffix returns a text of the API server as it would be without files, where the names have a suffix.
func withoutSuffix(text string) string { return strings.ReplaceAll(text, ".static.k8s.io'", "'") }

// wantOfPolicies returns the expected outcome of a case. A policy has one warning about all images of a
// request, instead of one for each. It does not warn if it denies.
func (c testCase) wantOfPolicies() expectation {
	want := c.want
	want.Warnings = nil
	faulty := slices.ContainsFunc(c.request.images, func(i imageKind) bool { return len(i.faultsIn(c.imageUse)) > 0 })
	if faulty && (c.mode.action == actionWarn || c.mode.action == actionDeny && c.template) {
		want.Warnings = append(want.Warnings, "images")
	}
	if !c.mode.valid && c.creates() && !c.template {
		want.Warnings = append(want.Warnings, "mode")
	}
	return want
}

// reduceOfPolicies returns the outcome in the form of wantOfPolicies.
func (o outcome) reduceOfPolicies(c testCase) expectation {
	o.message = withoutSuffix(o.message)
	reduced := expectation{Stored: o.stored, PullPolicy: o.pullPolicy, Secrets: o.secrets, Denied: o.deniesWith(policyDenial, c)}
	for _, text := range o.warnings {
		switch text = withoutSuffix(text); {
		case strings.HasPrefix(text, policyWarning+"image-webhook-unknown-mode'"):
			text = "mode"
		case strings.HasPrefix(text, policyWarning+"image-webhook"):
			text = "images"
		}
		reduced.Warnings = append(reduced.Warnings, text)
	}
	slices.Sort(reduced.Warnings)
	return reduced
}

// describedImage matches the beginning of the description of an image in a denial, with its field.
var describedImage = regexp.MustCompile(`(?:^|: |; )(?:\(\d+\) )?(?:container|volume) "[^"]*" \((\S+)\) uses image `)

// ruleReasons are the rules of reasons, by a part of them.
var ruleReasons = []struct{ part, rule string }{
	{": it is denied (", "denied_image"}, {" its registry is not allowed", "registry"}, {" a digest is required: ", "digest"},
	{": invalid reference (", "invalid_reference"}, {" is not allowed because its image can change", "tag"},
}

// describedRules returns the rules in a denial by the fields that it describes.
func describedRules(message string) map[string][]string {
	rules := map[string][]string{}
	starts := describedImage.FindAllStringSubmatchIndex(message, -1)
	for i, start := range starts {
		end := len(message)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		field := message[start[2]:start[3]]
		for _, r := range ruleReasons {
			if strings.Contains(message[start[1]:end], r.part) {
				rules[field] = append(rules[field], r.rule)
			}
		}
		slices.Sort(rules[field])
	}
	return rules
}

// policyVerdicts returns the verdicts of the API server with the policies. The mode warn stores images that
// the mode deny denies. A workload gets a warning if its pods break a rule.
func (s *testServer) policyVerdicts(t *testing.T, m corpusManifest) verdicts {
	t.Helper()
	object, pod := m.sentWithPod(t)
	found := s.storedVerdicts(t, m, pod)
	_, _, err := s.dryRunObject(t, pods, modes[1], pod)
	message := ""
	if err != nil {
		var ok bool
		if _, message, ok = strings.Cut(withoutSuffix(err.Error()), policyDenial); !ok {
			t.Fatalf("%s: %v", m.file, err)
		}
	}
	for field, rules := range describedRules(message) {
		key := m.specPath + strings.TrimPrefix(field, "spec")
		v := found[key]
		v.Rules = rules
		found[key] = v
	}
	_, texts, err := s.dryRunObject(t, m.resource, modes[2], object)
	if err != nil {
		t.Fatalf("%s: %v", m.file, err)
	}
	warned := slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, policyWarning) })
	if warned != (message != "") {
		t.Errorf("%s: the mode deny answers %q, but the mode warn warns %q", m.file, message, texts)
	}
	return found
}

// storedVerdicts returns the images that are stored for a pod in the mode warn.
func (s *testServer) storedVerdicts(t *testing.T, m corpusManifest, pod map[string]any) verdicts {
	t.Helper()
	stored, _, err := s.dryRunObject(t, pods, modes[2], pod)
	if err != nil {
		t.Fatalf("%s: %v", m.file, err)
	}
	found := verdicts{}
	for _, field := range []string{container, initContainer, volume} {
		found[m.specPath+strings.TrimPrefix(field, "spec")] = imageVerdict{Stored: textAt(t, stored.Object, pathKeys(field))}
	}
	return found
}

func TestHybridFormHasTheVerdictsOfTheWebhook(t *testing.T) {
	t.Parallel()
	all := sampleCases(cases())
	server := startMatrixServer(t, all, localinstall.Options{Hybrid: true, Policy: runPolicy(t, matrixPolicy, "--validating", "--for=1.35")})
	hybridCases.begin(all)
	for _, c := range all {
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			got := c.run(t, server)
			reduced := got.reduce(c)
			reduced.Denied = got.deniesWith(policyDenial, c)
			if diff := cmp.Diff(c.wantOfHybrid(), reduced); diff != "" {
				t.Errorf("outcome differs (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
			}
			hybridCases.add(t, c)
		})
	}
	t.Run("check says the same", func(t *testing.T) {
		checkCorpus(t, sampleCorpus(t), &hybridCorpus, func(t *testing.T, m corpusManifest) verdicts { return server.serverVerdicts(t, m) })
	})
}

// wantOfHybrid returns the expected outcome of a case. The webhook that mirrors warns about pods, so there is no
// warning about a pod that it is not called for. Nor is there one about the mode of a pod that is denied: the
// API server evaluates policies before it calls the webhooks that only warn.
func (c testCase) wantOfHybrid() expectation {
	want := c.want
	want.Warnings = slices.DeleteFunc(slices.Clone(want.Warnings), func(text string) bool {
		return c.unmirrored && text != c.mode.warning() || want.Denied && text == c.mode.warning()
	})
	if len(want.Warnings) == 0 {
		want.Warnings = nil
	}
	return want
}
