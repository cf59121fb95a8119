package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

// rewritten is the response with a patch, and with what the audit log is told.
func rewritten(patch string, notes map[string]string) *admissionv1.AdmissionResponse {
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind, AuditAnnotations: notes}
}

func TestMirror(t *testing.T) {
	tests := []struct {
		name string
		pod  string
		want *admissionv1.AdmissionResponse
	}{
		{
			"every list",
			`{"spec":{
				"containers":[{"name":"app","image":"nginx:1.25"},{"name":"own","image":"own.example/x:1"},{"name":"pin","image":"redis:7` + digest + `"}],
				"initContainers":[{"name":"init","image":"registry.k8s.io/pause:3.10"}],
				"ephemeralContainers":[{"name":"debug","image":"busybox:1.36"}],
				"volumes":[{"name":"tmp","emptyDir":{}},{"name":"model","image":{"reference":"acme/model:1"}}]}}`,
			rewritten(
				`[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"},`+
					`{"op":"replace","path":"/spec/containers/2/image","value":"docker.mirror.example/library/redis:7`+digest+`"},`+
					`{"op":"replace","path":"/spec/initContainers/0/image","value":"k8s.mirror.example/pause:3.10"},`+
					`{"op":"replace","path":"/spec/ephemeralContainers/0/image","value":"docker.mirror.example/library/busybox:1.36"},`+
					`{"op":"replace","path":"/spec/volumes/1/image/reference","value":"docker.mirror.example/acme/model:1"}]`,
				map[string]string{
					"spec.containers.0.image":          "nginx:1.25 -> docker.mirror.example/library/nginx:1.25",
					"spec.containers.2.image":          "redis:7" + digest + " -> docker.mirror.example/library/redis:7" + digest,
					"spec.initContainers.0.image":      "registry.k8s.io/pause:3.10 -> k8s.mirror.example/pause:3.10",
					"spec.ephemeralContainers.0.image": "busybox:1.36 -> docker.mirror.example/library/busybox:1.36",
					"spec.volumes.1.image.reference":   "acme/model:1 -> docker.mirror.example/acme/model:1",
				}),
		},
		{
			"untagged stays untagged", podOf("nginx"),
			rewritten(
				`[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx"}]`,
				map[string]string{"spec.containers.0.image": "nginx -> docker.mirror.example/library/nginx"}),
		},
		{"no rule", podOf("quay.io/x:1"), allowed()},
		{"already mirrored", podOf("docker.mirror.example/library/nginx:1.25"), allowed()},
		{"invalid", podOf("Nginx:1"), allowed()},
		{"no image", `{"spec":{"containers":[{"name":"app"}]}}`, allowed()},
		{"no containers", `{}`, allowed()},
		{
			"static pod",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`,
			allowed(),
		},
	}
	mirror := Mirror(newPolicy(t, exampleRules).Mirrors)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mirror(created(t, tt.pod))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

// Setting an image back to what was written before it was mirrored changes
// nothing in the end: the running container is not restarted.
func TestMirrorOnUpdateLeadsBackToTheOldImage(t *testing.T) {
	r := updated(t, podOf("docker.mirror.example/library/nginx:1.25"), podOf("nginx:1.25"))
	want := `[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"}]`
	if got := string(Mirror(newPolicy(t, exampleRules).Mirrors)(r).Patch); got != want {
		t.Errorf("patch %s, want %s", got, want)
	}
}
