package admission

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// place is where a pod names an image, with a pod that has one there.
type place struct {
	field   string // as Kubernetes writes it
	pointer string // as a patch names it
	pull    string // as a patch names its pull policy
	pod     string // with %q for the image
}

var fields = []place{
	{"spec.containers[0].image", "/spec/containers/0/image", "/spec/containers/0/imagePullPolicy", `{"spec":{"containers":[{"name":"it","image":%q}]}}`},
	{"spec.initContainers[0].image", "/spec/initContainers/0/image", "/spec/initContainers/0/imagePullPolicy", `{"spec":{"initContainers":[{"name":"it","image":%q}]}}`},
	{"spec.ephemeralContainers[0].image", "/spec/ephemeralContainers/0/image", "/spec/ephemeralContainers/0/imagePullPolicy", `{"spec":{"ephemeralContainers":[{"name":"it","image":%q}]}}`},
	{"spec.volumes[0].image.reference", "/spec/volumes/0/image/reference", "/spec/volumes/0/image/pullPolicy", `{"spec":{"volumes":[{"name":"it","image":{"reference":%q}}]}}`},
}

// operations are the ways in which an image comes into the cluster, or not.
var operations = []struct {
	name   string
	brings bool // whether the image is new
	// request makes the request of the pod without and with the image.
	request func(t *testing.T, empty, pod, other string) *Request
}{
	{"CREATE", true, func(t *testing.T, _, pod, _ string) *Request { return created(t, pod) }},
	{"UPDATE that adds it", true, func(t *testing.T, empty, pod, _ string) *Request { return updated(t, empty, pod) }},
	{"UPDATE that changes it", true, func(t *testing.T, _, pod, other string) *Request { return updated(t, other, pod) }},
	{"UPDATE that leaves it", false, func(t *testing.T, _, pod, _ string) *Request { return updated(t, pod, pod) }},
	{"UPDATE that removes it", false, func(t *testing.T, empty, pod, _ string) *Request { return updated(t, pod, empty) }},
	{"UPDATE of ephemeralcontainers", true, func(t *testing.T, empty, pod, _ string) *Request {
		r := updated(t, empty, pod)
		r.SubResource = ephemeral
		return r
	}},
}

// verbs are what is done about an image that is new.
var verbs = []struct {
	name    string
	image   string
	verdict func(*testing.T) Verdict
	acts    func(resp *admissionv1.AdmissionResponse, at place) bool
	// onCreate is for what is done only when the pod itself is new.
	onCreate bool
}{
	{
		"deny", "quay.io/app:latest", func(t *testing.T) Verdict { return Deny(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, at place) bool {
			return !resp.Allowed && resp.Result.Code == 403 && strings.Contains(resp.Result.Message, "("+at.field+")")
		},
		false,
	},
	{
		"warn", "quay.io/app:latest", func(t *testing.T) Verdict { return Warn(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, at place) bool {
			return resp.Allowed && len(resp.Warnings) == 1 && strings.Contains(resp.Warnings[0], "("+at.field+")")
		},
		false,
	},
	{
		"rewrite", "nginx:1.25", func(t *testing.T) Verdict { return Mutate(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors}) },
		func(resp *admissionv1.AdmissionResponse, at place) bool {
			return resp.Allowed && string(resp.Patch) == `[{"op":"replace","path":"`+at.pointer+`","value":"docker.mirror.example/library/nginx:1.25"}]`
		},
		false,
	},
	{
		"pull", "quay.io/app:1", func(*testing.T) Verdict { return Mutate(Changes{AlwaysPull: true}) },
		func(resp *admissionv1.AdmissionResponse, at place) bool {
			return resp.Allowed && string(resp.Patch) == `[{"op":"add","path":"`+at.pull+`","value":"Always"}]`
		},
		true,
	},
}

// One case for each field, verb and operation.
func TestEveryFieldVerbAndOperation(t *testing.T) {
	for _, f := range fields {
		for _, v := range verbs {
			for _, op := range operations {
				t.Run(f.field+"/"+v.name+"/"+op.name, func(t *testing.T) {
					pod := fmt.Sprintf(f.pod, v.image)
					resp := v.verdict(t)(op.request(t, "{}", pod, fmt.Sprintf(f.pod, "other.example/app:1")))
					acts := op.brings && (op.name == "CREATE" || !v.onCreate)
					if acts && !v.acts(resp, f) {
						t.Errorf("did not %s: %+v", v.name, resp)
					}
					if !acts && (!resp.Allowed || len(resp.Warnings) > 0 || resp.Patch != nil || resp.PatchType != nil || resp.AuditAnnotations != nil) {
						t.Errorf("touched what is not new: %+v", resp)
					}
				})
			}
		}
	}
}
