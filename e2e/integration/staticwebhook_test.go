package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// The webhook beside the API server that `kubectl image-webhook policy --static-webhook` registers.

// staticWebhook is an API server with such a webhook, which has the arguments of the static pod in
// deploy/image-policy.
type staticWebhook struct {
	*staticServer
	process *imagePolicy
}

// startStaticWebhook starts an API server without rules, and the webhook with matrixPolicy. Its admission.yaml is
// for this webhook, as it is read only once.
func startStaticWebhook(t *testing.T) *staticWebhook {
	t.Helper()
	s := &staticWebhook{staticServer: &staticServer{files: filepath.Join(t.TempDir(), "static")}}
	staticFlags(t, s.files) // skips the test on Kubernetes 1.35
	if err := os.Mkdir(s.files, 0o755); err != nil {
		t.Fatal(err)
	}
	s.process = &imagePolicy{dir: s.files, addr: freeAddress(t)}
	s.process.certificates(t)
	s.register(t)
	s.empty(t)
	s.start(t)
	t.Cleanup(func() { s.process.stopServer(t) })
	s.process.startServerWith(t, matrixPolicy)
	return s
}

// register writes the files that register the webhook.
func (s *staticWebhook) register(t *testing.T, args ...string) {
	t.Helper()
	s.writeFiles(t, matrixPolicy, append(args, "--static-webhook=https://"+s.process.addr, "--static-webhook-ca="+filepath.Join(s.files, "ca.crt"))...)
}

func TestStaticWebhookHasTheVerdictsOfTheWebhook(t *testing.T) {
	t.Parallel()
	all := sampleCases(cases())
	server := startStaticWebhook(t)
	server.createMatrixNamespaces(t)
	if err := server.createExisting(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	server.register(t)
	server.waitForPolicies(t)
	staticWebhookCases.begin(all)
	t.Run("matrix", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.title(), func(t *testing.T) {
				t.Parallel()
				got := c.run(t, server.testServer)
				if diff := cmp.Diff(c.want, got.reduce(c)); diff != "" {
					t.Errorf("outcome differs (-want +got):\n%s\nmessage: %s\nwarnings: %q", diff, got.message, got.warnings)
				}
				staticWebhookCases.add(t, c)
			})
		}
	})
	t.Run("check says the same", func(t *testing.T) { checkCorpus(t, sampleCorpus(t), &staticWebhookCorpus, server.serverVerdicts) })
	t.Run("without an answer", server.testOutage)
	t.Run("with policies", server.testChangesOfTheForm)
}

// The images of the other cases, and what becomes of them.
const (
	latestImage     = "quay.io/team/app:latest"
	mirroredFrom    = "redis:8"
	byTheWebhook    = "the webhook denies"
	byThePolicy     = "the policy denies"
	withoutAnAnswer = "refused: the webhook does not answer"
)

// verdict returns what becomes of a new pod: its stored image, or who denies it.
func (s *staticWebhook) verdict(ctx context.Context, namespace, image string) string {
	pod, err := s.client.CoreV1().Pods(namespace).Create(ctx, newPod(namespace, "judged", image), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return pod.Spec.Containers[0].Image
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), `admission webhook "validating.image-webhook.dev" denied the request: `):
		return byTheWebhook
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'image-webhook.static.k8s.io' "):
		return byThePolicy
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), `failed calling webhook "validating.image-webhook.dev": `):
		return withoutAnAnswer
	}
	return err.Error()
}

// waitForVerdicts waits until pods with these images, by the namespaces, have these verdicts.
func (s *staticWebhook) waitForVerdicts(t *testing.T, want map[string]map[string]string) {
	t.Helper()
	var got map[string]map[string]string
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		got = map[string]map[string]string{}
		for namespace, images := range want {
			got[namespace] = map[string]string{}
			for image := range images {
				got[namespace][image] = s.verdict(ctx, namespace, image)
			}
		}
		return cmp.Equal(want, got), nil
	})
	if err != nil {
		t.Fatalf("%v: verdicts (-want +got):\n%s", err, cmp.Diff(want, got))
	}
}

// testOutage stops the webhook. Only pods in the mode deny may be refused, so that the cluster's own pods start,
// and users can still set the mode of a namespace.
func (s *staticWebhook) testOutage(t *testing.T) {
	deny, off, warn := modes[1].namespace(), modes[3].namespace(), modes[2].namespace()
	s.waitForVerdicts(t, map[string]map[string]string{deny: {latestImage: byTheWebhook, mirroredFrom: "docker.mirror.example/library/redis:8"}})
	s.process.stopServer(t)
	asWritten := map[string]string{latestImage: latestImage, mirroredFrom: mirroredFrom}
	s.waitForVerdicts(t, map[string]map[string]string{
		deny: {latestImage: withoutAnAnswer, mirroredFrom: withoutAnAnswer}, warn: asWritten, off: asWritten, "kube-system": asWritten,
	})
	namespace := s.namespace(t, nil)
	s.waitForVerdicts(t, map[string]map[string]string{namespace: {mirroredFrom: withoutAnAnswer}})
	if err := s.setMode(t.Context(), namespace, "off"); err != nil {
		t.Fatal(err)
	}
	s.waitForVerdicts(t, map[string]map[string]string{namespace: asWritten})
}

// testChangesOfTheForm replaces the files without a restart of the API server. The webhook does not run at first.
func (s *staticWebhook) testChangesOfTheForm(t *testing.T) {
	deny := modes[1].namespace()
	s.register(t, "--validating")
	s.waitForVerdicts(t, map[string]map[string]string{deny: {latestImage: byThePolicy, mirroredFrom: byThePolicy}})
	s.process.startServerWith(t, matrixPolicy)
	onMirror := map[string]map[string]string{deny: {latestImage: byThePolicy, mirroredFrom: "docker.mirror.example/library/redis:8"}}
	s.waitForVerdicts(t, onMirror)
	ctx, texts := collectWarnings(t.Context())
	s.verdict(ctx, deny, latestImage)
	if len(*texts) != 1 || !strings.HasPrefix((*texts)[0], "use `latest` tag is not allowed: container ") {
		t.Errorf("the webhook warns %q about a pod that the policy denies, want one warning about the tag", *texts)
	}
	s.writeFiles(t, matrixPolicy)
	s.process.stopServer(t)
	s.waitForVerdicts(t, onMirror)
	s.process.startServerWith(t, matrixPolicy)
	s.register(t)
	s.waitForVerdicts(t, map[string]map[string]string{deny: {latestImage: byTheWebhook, mirroredFrom: "docker.mirror.example/library/redis:8"}})
}
