package admission

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// imageField is a field of a pod that names an image, with a pod that has it.
type imageField struct {
	path    string // in Kubernetes' notation
	pointer string // of the image, in a patch
	pull    string // of its pull policy, in a patch
	pod     string // with %q for the image
}

var fields = []imageField{
	{"spec.containers[0].image", "/spec/containers/0/image", "/spec/containers/0/imagePullPolicy", `{"spec":{"containers":[{"name":"it","image":%q}]}}`},
	{"spec.initContainers[0].image", "/spec/initContainers/0/image", "/spec/initContainers/0/imagePullPolicy", `{"spec":{"initContainers":[{"name":"it","image":%q}]}}`},
	{"spec.ephemeralContainers[0].image", "/spec/ephemeralContainers/0/image", "/spec/ephemeralContainers/0/imagePullPolicy", `{"spec":{"ephemeralContainers":[{"name":"it","image":%q}]}}`},
	{"spec.volumes[0].image.reference", "/spec/volumes/0/image/reference", "/spec/volumes/0/image/pullPolicy", `{"spec":{"volumes":[{"name":"it","image":{"reference":%q}}]}}`},
}

// operations are the requests that add or keep an image.
var operations = []struct {
	name string
	adds bool // whether the image is new
	// request returns the request for pods without the image, with it and with another one.
	request func(t *testing.T, empty, pod, other string) *Request
}{
	{"CREATE", true, func(t *testing.T, _, pod, _ string) *Request { return created(t, pod) }},
	{"UPDATE that adds it", true, func(t *testing.T, empty, pod, _ string) *Request { return updated(t, empty, pod) }},
	{"UPDATE that changes it", true, func(t *testing.T, _, pod, other string) *Request { return updated(t, other, pod) }},
	{"UPDATE that leaves it", false, func(t *testing.T, _, pod, _ string) *Request { return updated(t, pod, pod) }},
	{"UPDATE that removes it", false, func(t *testing.T, empty, pod, _ string) *Request { return updated(t, pod, empty) }},
	{"UPDATE of ephemeralcontainers", true, func(t *testing.T, empty, pod, _ string) *Request {
		r := updated(t, empty, pod)
		r.SubResource = ephemeralContainers
		return r
	}},
}

// rules are the rules for new images, with their verdicts.
var rules = []struct {
	name    string
	image   string
	verdict func(*testing.T) bound
	applies func(resp *admissionv1.AdmissionResponse, f imageField) bool
	// onCreate is set if the rule applies only when the pod itself is new.
	onCreate bool
}{
	{
		"deny", "quay.io/app:latest", func(t *testing.T) bound { return denyBy(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, f imageField) bool {
			return !resp.Allowed && resp.Result.Code == 403 && strings.Contains(resp.Result.Message, "("+f.path+")")
		},
		false,
	},
	{
		"warn", "quay.io/app:latest", func(t *testing.T) bound { return warnBy(newPolicy(t, exampleRules)) },
		func(resp *admissionv1.AdmissionResponse, f imageField) bool {
			return resp.Allowed && len(resp.Warnings) == 1 && strings.Contains(resp.Warnings[0], "("+f.path+")")
		},
		false,
	},
	{
		"rewrite", "nginx:1.25", func(t *testing.T) bound { return mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors}) },
		func(resp *admissionv1.AdmissionResponse, f imageField) bool {
			return resp.Allowed && string(resp.Patch) == `[{"op":"replace","path":"`+f.pointer+`","value":"docker.mirror.example/library/nginx:1.25"}]`
		},
		false,
	},
	{
		"pull", "quay.io/app:1", func(*testing.T) bound { return mutateBy(Changes{AlwaysPull: true}) },
		func(resp *admissionv1.AdmissionResponse, f imageField) bool {
			return resp.Allowed && string(resp.Patch) == `[{"op":"add","path":"`+f.pull+`","value":"Always"}]`
		},
		true,
	},
}

func TestEveryRuleAppliesToEveryFieldAndOperation(t *testing.T) {
	for _, f := range fields {
		for _, rule := range rules {
			for _, op := range operations {
				t.Run(f.path+"/"+rule.name+"/"+op.name, func(t *testing.T) {
					pod := fmt.Sprintf(f.pod, rule.image)
					resp := decide(t, rule.verdict(t), op.request(t, "{}", pod, fmt.Sprintf(f.pod, "other.example/app:1")))
					applies := op.adds && (op.name == "CREATE" || !rule.onCreate)
					if applies && !rule.applies(resp, f) {
						t.Errorf("did not %s: %+v", rule.name, resp)
					}
					if !applies && (!resp.Allowed || len(resp.Warnings) > 0 || resp.Patch != nil || resp.PatchType != nil || resp.AuditAnnotations != nil) {
						t.Errorf("changed or checked an image that is not new: %+v", resp)
					}
				})
			}
		}
	}
}
