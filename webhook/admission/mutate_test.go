package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

// rewritten returns the response with a patch and its notes for the audit log.
func rewritten(patch string, notes map[string]string) *admissionv1.AdmissionResponse {
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind, AuditAnnotations: notes}
}

func TestMutateSendsImagesToMirrors(t *testing.T) {
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
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decide(t, mutate, created(t, tt.pod))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMutateKeepsTheImageWhenItsOriginIsSet(t *testing.T) {
	// The container would restart if its image changed.
	r := updated(t, podOf("docker.mirror.example/library/nginx:1.25"), podOf("nginx:1.25"))
	want := `[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"}]`
	if got := string(mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors})(r).Patch); got != want {
		t.Errorf("patch %s, want %s", got, want)
	}
}

// always returns the operation that sets a pull policy.
func always(pointer string) string {
	return `{"op":"add","path":"` + pointer + `","value":"Always"}`
}

func TestMutateSetsThePullPolicy(t *testing.T) {
	container := func(policy string) string {
		return `{"spec":{"containers":[{"name":"app","image":"quay.io/x:1"` + policy + `}]}}`
	}
	volume := func(policy string) string {
		return `{"spec":{"volumes":[{"name":"model","image":{"reference":"quay.io/x:1"` + policy + `}}]}}`
	}
	const containerPath, volumePath = "/spec/containers/0/imagePullPolicy", "/spec/volumes/0/image/pullPolicy"
	containerChange := func(note string) *admissionv1.AdmissionResponse {
		return rewritten("["+always(containerPath)+"]", map[string]string{"spec.containers.0.imagePullPolicy": note})
	}
	volumeChange := func(note string) *admissionv1.AdmissionResponse {
		return rewritten("["+always(volumePath)+"]", map[string]string{"spec.volumes.0.image.pullPolicy": note})
	}
	tests := []struct {
		name string
		pod  string
		want *admissionv1.AdmissionResponse
	}{
		{"Always", container(`,"imagePullPolicy":"Always"`), allowed()},
		{"IfNotPresent", container(`,"imagePullPolicy":"IfNotPresent"`), containerChange("IfNotPresent -> Always")},
		{"Never", container(`,"imagePullPolicy":"Never"`), containerChange("Never -> Always")},
		{"no policy", container(``), containerChange("-> Always")},
		{"null", container(`,"imagePullPolicy":null`), containerChange("-> Always")},
		{"empty", container(`,"imagePullPolicy":""`), containerChange("-> Always")},
		{"in another case", container(`,"imagePullPolicy":"always"`), containerChange("always -> Always")},
		{"a long one", container(`,"imagePullPolicy":"` + strings.Repeat("x", maxQuoted+1) + `"`), containerChange(strings.Repeat("x", maxQuoted) + "... -> Always")},
		{"Always for a volume", volume(`,"pullPolicy":"Always"`), allowed()},
		{"IfNotPresent for a volume", volume(`,"pullPolicy":"IfNotPresent"`), volumeChange("IfNotPresent -> Always")},
		{"no policy for a volume", volume(``), volumeChange("-> Always")},
		{"null for a volume", volume(`,"pullPolicy":null`), volumeChange("-> Always")},
		{"a volume without an image", `{"spec":{"volumes":[{"name":"tmp","emptyDir":{}}]}}`, allowed()},
		// The parent object of the policy is missing.
		{"null for a container", `{"spec":{"containers":[null],"volumes":[null,{"image":null}]}}`, allowed()},
		{"an invalid reference", `{"spec":{"containers":[{"image":"Nginx"}]}}`, containerChange("-> Always")},
		{
			"mirrored too, in every list",
			`{"spec":{
				"containers":[{"name":"app","image":"nginx:1.25","imagePullPolicy":"IfNotPresent"},{"name":"own","image":"own.example/x:1","imagePullPolicy":"Never"}],
				"initContainers":[{"name":"init","image":"registry.k8s.io/pause:3.10","imagePullPolicy":"Always"},{"name":"two","image":"own.example/x:1"}],
				"volumes":[{"name":"tmp","emptyDir":{}},{"name":"model","image":{"reference":"acme/model:1","pullPolicy":"IfNotPresent"}}]}}`,
			rewritten(
				`[{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"},`+
					always("/spec/containers/0/imagePullPolicy")+`,`+
					always("/spec/containers/1/imagePullPolicy")+`,`+
					`{"op":"replace","path":"/spec/initContainers/0/image","value":"k8s.mirror.example/pause:3.10"},`+
					always("/spec/initContainers/1/imagePullPolicy")+`,`+
					`{"op":"replace","path":"/spec/volumes/1/image/reference","value":"docker.mirror.example/acme/model:1"},`+
					always("/spec/volumes/1/image/pullPolicy")+`]`,
				map[string]string{
					"spec.containers.0.image":               "nginx:1.25 -> docker.mirror.example/library/nginx:1.25",
					"spec.containers.0.imagePullPolicy":     "IfNotPresent -> Always",
					"spec.containers.1.imagePullPolicy":     "Never -> Always",
					"spec.initContainers.0.image":           "registry.k8s.io/pause:3.10 -> k8s.mirror.example/pause:3.10",
					"spec.initContainers.1.imagePullPolicy": "-> Always",
					"spec.volumes.1.image.reference":        "acme/model:1 -> docker.mirror.example/acme/model:1",
					"spec.volumes.1.image.pullPolicy":       "IfNotPresent -> Always",
				}),
		},
		{
			"static pod",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`,
			allowed(),
		},
	}
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors, AlwaysPull: true})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := decide(t, mutate, created(t, tt.pod))
			if diff := cmp.Diff(tt.want, resp); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			checkConverges(t, mutate, []byte(tt.pod), resp.Patch)
		})
	}
}

// checkConverges checks that the patch of a new pod applies, and that the patched pod is not
// changed again: the API server may call the webhook twice.
func checkConverges(t *testing.T, mutate bound, pod, patch []byte) {
	t.Helper()
	if len(patch) == 0 {
		return
	}
	patched := applyPatch(t, pod, patch)
	if again := decide(t, mutate, created(t, string(patched))); again.Patch != nil || again.AuditAnnotations != nil {
		t.Errorf("a second patch %s of %s", again.Patch, patched)
	}
}

func TestMutateSetsThePullPolicyOnlyOfNewPods(t *testing.T) {
	const pod = `{"spec":{"containers":[{"name":"app","image":"quay.io/x:1","imagePullPolicy":"Never"}]}}`
	debug := created(t, pod)
	debug.SubResource = ephemeralContainers
	tests := []struct {
		name    string
		request *Request
	}{
		{"a changed image", updated(t, podOf("quay.io/x:0"), pod)},
		{"a pod that had no container", updated(t, `{}`, pod)},
		{"a change without the old pod", func() *Request { r := updated(t, `{}`, pod); r.OldObject = nil; return r }()},
		{"ephemeral containers", debug},
		{"a Deployment", created(t, `{"spec":{"template":`+pod+`}}`).withKind(deploymentKind)},
		{"a Deployment with a pod's spec", created(t, pod).withKind(deploymentKind)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(allowed(), decide(t, mutateBy(Changes{AlwaysPull: true}), tt.request)); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMutateAddsPullSecretsToMirroredPods(t *testing.T) {
	pod := func(list string) string {
		return `{"spec":{` + list + `"containers":[{"name":"app","image":"nginx:1.25"}]}}`
	}
	const (
		mirrored   = `{"op":"replace","path":"/spec/containers/0/image","value":"docker.mirror.example/library/nginx:1.25"}`
		newList    = `{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"mirror"}]}`
		addMirror  = `{"op":"add","path":"/spec/imagePullSecrets/-","value":{"name":"mirror"}}`
		addSecond  = `{"op":"add","path":"/spec/imagePullSecrets/-","value":{"name":"second"}}`
		bothAdded  = "-> mirror,second"
		manyOthers = 100_000
	)
	others := strings.TrimSuffix(strings.Repeat(`{"name":"another"},`, manyOthers), ",")
	tests := []struct {
		name       string
		pod        string
		operations []string
		note       string // for the audit log; empty: no Secret is added
	}{
		{"no list", pod(``), []string{newList, addSecond}, bothAdded},
		{"null", pod(`"imagePullSecrets":null,`), []string{newList, addSecond}, bothAdded},
		{"an empty list", pod(`"imagePullSecrets":[],`), []string{newList, addSecond}, bothAdded},
		{"another Secret", pod(`"imagePullSecrets":[{"name":"own"}],`), []string{addMirror, addSecond}, bothAdded},
		{"a Secret without a name", pod(`"imagePullSecrets":[{}],`), []string{addMirror, addSecond}, bothAdded},
		{"a Secret that is null", pod(`"imagePullSecrets":[null],`), []string{addMirror, addSecond}, bothAdded},
		{"a name that begins in the same way", pod(`"imagePullSecrets":[{"name":"mirror2"},{"name":"secon"}],`), []string{addMirror, addSecond}, bothAdded},
		{"the first one", pod(`"imagePullSecrets":[{"name":"own"},{"name":"mirror"}],`), []string{addSecond}, "-> second"},
		{"the second one", pod(`"imagePullSecrets":[{"name":"second"}],`), []string{addMirror}, "-> mirror"},
		{"the second one with an escape", pod(`"imagePullSecrets":[{"name":"s\u0065cond"}],`), []string{addMirror}, "-> mirror"},
		{"both in another order", pod(`"imagePullSecrets":[{"name":"second"},{"name":"own"},{"name":"mirror"}],`), nil, ""},
		{"both twice", pod(`"imagePullSecrets":[{"name":"mirror"},{"name":"mirror"},{"name":"second"},{"name":"second"}],`), nil, ""},
		{"many others", pod(`"imagePullSecrets":[` + others + `],`), []string{addMirror, addSecond}, bothAdded},
		{"many others and both", pod(`"imagePullSecrets":[{"name":"mirror"},` + others + `,{"name":"second"}],`), nil, ""},
		// The API server refuses these pods.
		{"not a list", pod(`"imagePullSecrets":{"name":"own"},`), nil, ""},
		{"a name that is not text", pod(`"imagePullSecrets":[{"name":7}],`), nil, ""},
	}
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors, PullSecrets: []string{"mirror", "second"}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notes := map[string]string{"spec.containers.0.image": "nginx:1.25 -> docker.mirror.example/library/nginx:1.25"}
			if tt.note != "" {
				notes["spec.imagePullSecrets"] = tt.note
			}
			patch := "[" + strings.Join(append([]string{mirrored}, tt.operations...), ",") + "]"
			resp := decide(t, mutate, created(t, tt.pod))
			if diff := cmp.Diff(rewritten(patch, notes), resp); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			checkConverges(t, mutate, []byte(tt.pod), resp.Patch)
		})
	}
}

func TestMutateAddsPullSecretsOnlyToNewPodsWithAMirroredImage(t *testing.T) {
	tests := []struct {
		name    string
		request *Request
	}{
		{"no rule", created(t, podOf("quay.io/x:1"))},
		{"already mirrored", created(t, podOf("docker.mirror.example/library/nginx:1.25"))},
		{"invalid", created(t, podOf("Nginx:1"))},
		{"a changed image", updated(t, podOf("nginx:1.24"), podOf("nginx:1.25"))},
		{"ephemeral containers", func() *Request {
			r := updated(t, `{}`, `{"spec":{"ephemeralContainers":[{"name":"debug","image":"nginx:1.25"}]}}`)
			r.SubResource = ephemeralContainers
			return r
		}()},
		{"a Deployment", created(t, deploymentOf("nginx:1.25")).withKind(deploymentKind)},
		{
			"static pod",
			created(t, `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`),
		},
	}
	mutate := mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors, PullSecrets: []string{"mirror"}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if resp := mutate(tt.request); strings.Contains(string(resp.Patch), "imagePullSecrets") {
				t.Errorf("patch %s, want none of the Secrets", resp.Patch)
			}
		})
	}
	// An image of any list is enough, and each Secret is added once.
	const others = `{"spec":{"containers":[{"name":"app","image":"quay.io/x:1"}],"initContainers":[{"name":"init","image":"busybox:1.36"}],"volumes":[{"name":"model","image":{"reference":"acme/model:1"}}]}}`
	if resp := mutate(created(t, others)); strings.Count(string(resp.Patch), `"name":"mirror"`) != 1 {
		t.Errorf("patch %s, want the Secret once", resp.Patch)
	}
}

func TestMutateAndWarnWarnsAboutTheImageThatTheUserWrote(t *testing.T) {
	const app = `container "app" (spec.containers[0].image) has image `
	mutate := mutateAndWarnBy(strictPolicy(t))
	for _, tt := range []struct {
		name, image string
		mirrored    string // empty: the image stays unchanged
		warnings    []string
	}{
		{"allowed", "nginx:1.25", "docker.mirror.example/library/nginx:1.25", nil}, // its mirror is allowed, docker.io is not
		{"latest", "nginx:latest", "docker.mirror.example/library/nginx:latest", []string{"use `latest` tag is not allowed: " + app + `"nginx:latest"`}},
		{"mirrored in an earlier call", "docker.mirror.example/library/nginx:latest", "", []string{"use `latest` tag is not allowed: " + app + `"nginx:latest"`}},
		{"denied", "redis:7.0", "docker.mirror.example/library/redis:7.0", []string{"image is denied: " + app + `"redis:7.0": CVE-2`}},
		{"another registry", "gcr.io/app:1", "", []string{"registry is not allowed: " + app + `"gcr.io/app:1"`}},
		{"invalid", "Nginx:1", "", []string{"invalid image reference: " + app + `"Nginx:1"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := allowed()
			if tt.mirrored != "" {
				want = rewritten(`[{"op":"replace","path":"/spec/containers/0/image","value":"`+tt.mirrored+`"}]`,
					map[string]string{"spec.containers.0.image": tt.image + " -> " + tt.mirrored})
			}
			want.Warnings = tt.warnings
			if diff := cmp.Diff(want, decide(t, mutate, created(t, podOf(tt.image)))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMutateAndWarnIgnoresImagesThatArePartOfThePod(t *testing.T) {
	r := updated(t, podOf("nginx:latest"), podOf("nginx:latest"))
	if diff := cmp.Diff(allowed(), decide(t, mutateAndWarnBy(strictPolicy(t)), r)); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}
