package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// auditEvent contains the tested fields of an event in the audit log (audit.k8s.io/v1).
type auditEvent struct {
	Verb        string            `json:"verb"`
	ObjectRef   objectRef         `json:"objectRef"`
	Annotations map[string]string `json:"annotations"`
}

type objectRef struct {
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Subresource string `json:"subresource"`
}

// auditAnnotations returns the audit annotations of each request about a pod, in order.
func (s *testServer) auditAnnotations(t *testing.T, namespace, name string) (annotations []map[string]string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Dir, auditLog))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the API server is still writing this line
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		if event.ObjectRef.Namespace == namespace && event.ObjectRef.Name == name {
			annotations = append(annotations, event.Annotations)
		}
	}
	return annotations
}

// ownAnnotations returns the audit annotations of our webhooks.
func ownAnnotations(annotations map[string]string) map[string]string {
	own := map[string]string{}
	for key, value := range annotations {
		if strings.HasPrefix(key, "mutating.image-webhook.dev/") || strings.HasPrefix(key, "validating.image-webhook.dev/") {
			own[key] = value
		}
	}
	return own
}

// policyVersion returns the version of the installed policy file.
func (s *testServer) policyVersion(t *testing.T) string {
	t.Helper()
	configMap, err := s.client.CoreV1().ConfigMaps("image-webhook").Get(t.Context(), "image-policy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(configMap.Data["policy.yaml"]))
	return hex.EncodeToString(sum[:])[:12]
}

func TestAuditLogContainsRewritesAndVersionAndPodHasNoAnnotation(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	pod := newPod(namespace, "web", "nginx:1.25")
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, pod.Spec.Containers[0])
	pod.Spec.InitContainers[0].Name, pod.Spec.InitContainers[0].Image = "first", "registry.k8s.io/pause:3.10"
	stored, err := server.create(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Annotations) > 0 {
		t.Errorf("got annotations %v on the pod, want none", stored.Annotations)
	}
	if _, err := server.debug(t, namespace, "web", `{"name":"debug","image":"busybox:1.36"}`); err != nil {
		t.Fatal(err)
	}
	version := server.policyVersion(t)
	want := []map[string]string{{
		"mutating.image-webhook.dev/policy": version, "validating.image-webhook.dev/policy": version,
		"mutating.image-webhook.dev/spec.containers.0.image":     "nginx:1.25 -> docker.mirror.example/library/nginx:1.25",
		"mutating.image-webhook.dev/spec.initContainers.0.image": "registry.k8s.io/pause:3.10 -> k8s.mirror.example/pause:3.10",
	}, {
		"mutating.image-webhook.dev/policy": version, "validating.image-webhook.dev/policy": version,
		"mutating.image-webhook.dev/spec.ephemeralContainers.0.image": "busybox:1.36 -> docker.mirror.example/library/busybox:1.36",
	}}
	var got []map[string]string
	waitUntil(t, "the audit log has both requests", func() bool {
		got = nil
		for _, annotations := range server.auditAnnotations(t, namespace, "web") {
			got = append(got, ownAnnotations(annotations))
		}
		return len(got) == len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit annotations differ (-want +got):\n%s", diff)
	}
}

// TestAuditLogContainsTheUIDOfTheWebhooksLog creates a pod that is denied. The line in the log of the
// webhook and the event in the audit log have the same UID.
func TestAuditLogContainsTheUIDOfTheWebhooksLog(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	namespace := server.namespace(t, nil)
	if _, err := server.create(t, newPod(namespace, "latest", "nginx:latest")); err == nil {
		t.Fatal("the pod was created")
	}
	var uid, version string
	waitUntil(t, "the audit log has the request", func() bool {
		for _, annotations := range server.auditAnnotations(t, namespace, "latest") {
			uid, version = annotations["validating.image-webhook.dev/uid"], annotations["validating.image-webhook.dev/policy"]
		}
		return uid != ""
	})
	if want := server.policyVersion(t); version != want {
		t.Errorf("got version %q of the policy in the audit log, want %q", version, want)
	}
	line := regexp.MustCompile(`msg=denied namespace=` + namespace + ` object=pod/latest user=\S+ uid=` + uid + ` images=\[nginx:latest\] reason=`)
	waitUntil(t, "the log of the webhook has the UID", func() bool {
		log, err := os.ReadFile(filepath.Join(server.Dir, webhookLog))
		return err == nil && line.Match(log)
	})
}
