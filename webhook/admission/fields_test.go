package admission

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// fields are the places of a pod that name an image, with a pod that has one
// there.
var fields = []struct {
	field   string // as Kubernetes writes it
	pointer string // as a patch names it
	pod     string // with %q for the image
}{
	{"spec.containers[0].image", "/spec/containers/0/image", `{"spec":{"containers":[{"name":"it","image":%q}]}}`},
	{"spec.initContainers[0].image", "/spec/initContainers/0/image", `{"spec":{"initContainers":[{"name":"it","image":%q}]}}`},
	{"spec.ephemeralContainers[0].image", "/spec/ephemeralContainers/0/image", `{"spec":{"ephemeralContainers":[{"name":"it","image":%q}]}}`},
	{"spec.volumes[0].image.reference", "/spec/volumes/0/image/reference", `{"spec":{"volumes":[{"name":"it","image":{"reference":%q}}]}}`},
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
	acts    func(resp *admissionv1.AdmissionResponse, field, pointer string) bool
}{
	{
		"deny", "quay.io/app:latest", func(t *testing.T) Verdict { return Deny(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, field, _ string) bool {
			return !resp.Allowed && resp.Result.Code == 403 && strings.Contains(resp.Result.Message, "("+field+")")
		},
	},
	{
		"warn", "quay.io/app:latest", func(t *testing.T) Verdict { return Warn(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, field, _ string) bool {
			return resp.Allowed && len(resp.Warnings) == 1 && strings.Contains(resp.Warnings[0], "("+field+")")
		},
	},
	{
		"rewrite", "nginx:1.25", func(t *testing.T) Verdict { return Mirror(newPolicy(t, exampleRules).Mirrors) },
		func(resp *admissionv1.AdmissionResponse, _, pointer string) bool {
			return resp.Allowed && string(resp.Patch) == `[{"op":"replace","path":"`+pointer+`","value":"docker.mirror.example/library/nginx:1.25"}]`
		},
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
					if op.brings && !v.acts(resp, f.field, f.pointer) {
						t.Errorf("did not %s: %+v", v.name, resp)
					}
					if !op.brings && (!resp.Allowed || len(resp.Warnings) > 0 || resp.Patch != nil || resp.PatchType != nil || resp.AuditAnnotations != nil) {
						t.Errorf("touched what is not new: %+v", resp)
					}
				})
			}
		}
	}
}
