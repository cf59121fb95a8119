package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// event is what the tests read of an event of the audit log (audit.k8s.io/v1).
type event struct {
	Verb        string            `json:"verb"`
	ObjectRef   objectRef         `json:"objectRef"`
	Annotations map[string]string `json:"annotations"`
}

type objectRef struct {
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Subresource string `json:"subresource"`
}

// audited are the annotations of the requests about a pod, in their order.
func (p *plane) audited(t *testing.T, namespace, name string) (annotations []map[string]string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(p.Dir, auditLog))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.ObjectRef.Namespace == namespace && e.ObjectRef.Name == name {
			annotations = append(annotations, e.Annotations)
		}
	}
	return annotations
}

// ours are the annotations of one event that our webhook made.
func ours(annotations map[string]string) map[string]string {
	made := map[string]string{}
	for key, value := range annotations {
		if strings.HasPrefix(key, "mutating.image-webhook.dev/") {
			made[key] = value
		}
	}
	return made
}

// Every rewrite is in the real audit log, as the README says, and the pod has no trace
// of it.
func TestAudit(t *testing.T) {
	t.Parallel()
	p := standard(t)
	namespace := p.namespace(t, nil)
	pod := newPod(namespace, "web", "nginx:1.25")
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, pod.Spec.Containers[0])
	pod.Spec.InitContainers[0].Name, pod.Spec.InitContainers[0].Image = "first", "registry.k8s.io/pause:3.10"
	stored, err := p.create(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Annotations) > 0 {
		t.Errorf("the pod has annotations: %v", stored.Annotations)
	}
	if _, err := p.debug(t, namespace, "web", `{"name":"debug","image":"busybox:1.36"}`); err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{
		"mutating.image-webhook.dev/spec.containers.0.image":     "nginx:1.25 -> docker.mirror.example/library/nginx:1.25",
		"mutating.image-webhook.dev/spec.initContainers.0.image": "registry.k8s.io/pause:3.10 -> k8s.mirror.example/pause:3.10",
	}, {
		"mutating.image-webhook.dev/spec.ephemeralContainers.0.image": "busybox:1.36 -> docker.mirror.example/library/busybox:1.36",
	}}
	var got []map[string]string
	eventually(t, "both requests are in the audit log", func() bool {
		got = nil
		for _, annotations := range p.audited(t, namespace, "web") {
			got = append(got, ours(annotations))
		}
		return len(got) == len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}
