package admission

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// request is the creation of a pod, given as JSON.
func request(t testing.TB, pod string) *Request {
	t.Helper()
	r := &Request{UID: "u", Kind: podKind, Namespace: "shop", Operation: admissionv1.Create, Object: &podimages.Pod{}}
	if err := json.Unmarshal([]byte(pod), r.Object); err != nil {
		t.Fatal(err)
	}
	return r
}

// podOf is a pod with one container.
func podOf(image string) string {
	return fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%q}]}}`, image)
}

func TestDeny(t *testing.T) {
	const app = `container "app" (spec.containers[0].image) uses image `
	const write = `: write it as [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST`
	const notLatest = "use `latest` tag is not allowed"
	tests := []struct {
		name    string
		pod     string
		message string // empty: allowed
		warning string
	}{
		{"fixed tag", podOf("nginx:1.25"), "", ""},
		{"other case", podOf("nginx:LATEST"), "", ""},
		{"digest", podOf("nginx" + digest), "", ""},
		{"latest with digest", podOf("nginx:latest" + digest), "", ""},
		{"no containers", `{}`, "", ""},
		{
			"latest", podOf("nginx:latest"),
			app + `"nginx:latest", whose tag "latest" can change under you: name a fixed tag such as nginx:1.2.3 or pin a digest (nginx@sha256:...)`,
			notLatest,
		},
		{
			"untagged", podOf("nginx"),
			app + `"nginx", which has no tag and so means "latest", a tag that can change under you: name a fixed tag such as nginx:1.2.3 or pin a digest (nginx@sha256:...)`,
			notLatest,
		},
		{
			"port and no tag", podOf("registry:5000/app"),
			app + `"registry:5000/app", which has no tag and so means "latest", a tag that can change under you: name a fixed tag such as registry:5000/app:1.2.3 or pin a digest (registry:5000/app@sha256:...)`,
			notLatest,
		},
		{"empty tag", podOf("nginx:"), app + `"nginx:", which cannot be read (invalid reference format)` + write, ""},
		{"space", podOf(" nginx:1"), app + `" nginx:1", which cannot be read (invalid reference format)` + write, ""},
		{"scheme", podOf("https://x.example/nginx:1"), app + `"https://x.example/nginx:1", which cannot be read (invalid reference format)` + write, ""},
		{"upper case", podOf("Nginx:1"), app + `"Nginx:1", which cannot be read (invalid reference format: repository name (library/Nginx) must be lowercase)` + write, ""},
		{"no image", `{"spec":{"containers":[{"name":"app"}]}}`, app + `"", which cannot be read (invalid reference format)` + write, ""},
		{"not ASCII", podOf("n\u011finx:1"), app + `"n\u011finx:1", which cannot be read (invalid reference format)` + write, ""},
		{
			"all at once",
			`{"spec":{
				"containers":[{"name":"app","image":"nginx:1.25"},{"name":"side","image":"quay.io/side:latest"}],
				"initContainers":[{"name":"init","image":"busybox"},{"name":"bad","image":"Bad"}]}}`,
			`container "side" (spec.containers[1].image) uses image "quay.io/side:latest", whose tag "latest" can change under you: name a fixed tag such as quay.io/side:1.2.3 or pin a digest (quay.io/side@sha256:...); ` +
				`container "init" (spec.initContainers[0].image) uses image "busybox", which has no tag and so means "latest", a tag that can change under you: name a fixed tag such as busybox:1.2.3 or pin a digest (busybox@sha256:...); ` +
				`container "bad" (spec.initContainers[1].image) uses image "Bad", which cannot be read (invalid reference format: repository name (library/Bad) must be lowercase)` + write,
			notLatest,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := &admissionv1.AdmissionResponse{Allowed: true}
			if tt.message != "" {
				want = &admissionv1.AdmissionResponse{Result: &metav1.Status{
					Status: "Failure", Code: 403, Reason: "Forbidden", Message: tt.message,
				}}
			}
			if tt.warning != "" {
				want.Warnings = []string{tt.warning}
			}
			if diff := cmp.Diff(want, Deny(request(t, tt.pod))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDenyIsBounded(t *testing.T) {
	for _, ref := range []string{strings.Repeat("A", 1<<20), strings.Repeat("a.", 500) + "a/x:latest"} {
		resp := Deny(request(t, podOf(ref)))
		if resp.Allowed || len(resp.Result.Message) > 4096 {
			t.Errorf("allowed %v with a message of %d bytes", resp.Allowed, len(resp.Result.Message))
		}
	}
}

func TestDenySpellsOutTheFirstFaults(t *testing.T) {
	containers := strings.Repeat(`{"name":"app","image":"nginx"},`, maxFaults+2)
	resp := Deny(request(t, `{"spec":{"containers":[`+strings.TrimSuffix(containers, ",")+`]}}`))
	if got := strings.Count(resp.Result.Message, "container "); got != maxFaults {
		t.Errorf("%d faults are spelled out, want %d", got, maxFaults)
	}
	if !strings.HasSuffix(resp.Result.Message, "; and 2 more") {
		t.Errorf("the rest is not counted: %s", resp.Result.Message)
	}
}

func TestMirror(t *testing.T) {
	tests := []struct {
		name  string
		pod   string
		patch string // empty: no patch
		notes map[string]string
	}{
		{
			"containers and init containers",
			`{"spec":{
				"containers":[{"name":"app","image":"nginx:1.25"},{"name":"own","image":"own.example/x:1"},{"name":"pin","image":"redis:7` + digest + `"}],
				"initContainers":[{"name":"init","image":"registry.k8s.io/pause:3.10"}]}}`,
			`[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"},` +
				`{"op":"replace","path":"/spec/containers/2/image","value":"docker.mirror.example/library/redis:7` + digest + `"},` +
				`{"op":"replace","path":"/spec/initContainers/0/image","value":"k8s.mirror.example/pause:3.10"}]`,
			map[string]string{
				"spec.containers.0.image":     "nginx:1.25 -> docker.mirror.example/library/nginx:1.25",
				"spec.containers.2.image":     "redis:7" + digest + " -> docker.mirror.example/library/redis:7" + digest,
				"spec.initContainers.0.image": "registry.k8s.io/pause:3.10 -> k8s.mirror.example/pause:3.10",
			},
		},
		{
			"untagged stays untagged", podOf("nginx"),
			`[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx"}]`,
			map[string]string{"spec.containers.0.image": "nginx -> docker.mirror.example/library/nginx"},
		},
		{"no rule", podOf("quay.io/x:1"), "", nil},
		{"already mirrored", podOf("docker.mirror.example/library/nginx:1.25"), "", nil},
		{"invalid", podOf("Nginx:1"), "", nil},
		{"no image", `{"spec":{"containers":[{"name":"app"}]}}`, "", nil},
		{"no containers", `{}`, "", nil},
		{
			"static pod",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`,
			"", nil,
		},
	}
	mirror := Mirror(mirrors(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := &admissionv1.AdmissionResponse{Allowed: true, AuditAnnotations: tt.notes}
			if tt.patch != "" {
				kind := admissionv1.PatchTypeJSONPatch
				want.Patch, want.PatchType = []byte(tt.patch), &kind
			}
			if diff := cmp.Diff(want, mirror(request(t, tt.pod))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

// mirrors are the rules of the article's example.
func mirrors(t testing.TB) image.Mirrors {
	t.Helper()
	m, err := image.ParseMirrors("docker.mirror.example,registry.k8s.io:k8s.mirror.example")
	if err != nil {
		t.Fatal(err)
	}
	return m
}
