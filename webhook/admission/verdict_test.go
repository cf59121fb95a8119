package admission

import (
	"encoding/json"
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var deploymentKind = podimages.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}

// created returns the request that creates a pod, which is given as JSON.
func created(t testing.TB, pod string) *Request {
	t.Helper()
	return &Request{UID: "u", Kind: podimages.Pod, Namespace: "shop", Operation: operationCreate, Object: object(t, pod)}
}

// updated returns the request that updates a pod; both versions are given as JSON.
func updated(t testing.TB, old, pod string) *Request {
	t.Helper()
	r := created(t, pod)
	r.Operation, r.OldObject = operationUpdate, object(t, old)
	return r
}

// withKind changes the kind of a request.
func (r *Request) withKind(kind podimages.Kind) *Request {
	r.Kind = kind
	return r
}

func object(t testing.TB, s string) *podimages.Object {
	t.Helper()
	var o podimages.Object
	var d jsonfields.Decoder
	memory := &reservation{context: t.Context()}
	defer memory.release()
	if err := d.Decode([]byte(s), memory, o.Decode); err != nil {
		t.Fatal(err)
	}
	return &o
}

// podOf returns a pod with one container.
func podOf(image string) string {
	quoted, _ := json.Marshal(image) // a string always encodes
	return fmt.Sprintf(`{"spec":{"containers":[{"name":"app","image":%s}]}}`, quoted)
}

// deploymentOf returns a Deployment whose pods have one container.
func deploymentOf(image string) string {
	return fmt.Sprintf(`{"spec":{"template":%s}}`, podOf(image))
}

// exampleRules are the mirror rules of deploy/04-webhook.yaml.
const exampleRules = "docker.mirror.example,registry.k8s.io:k8s.mirror.example"

// newPolicy returns a policy that disallows the tag latest.
func newPolicy(t testing.TB, rules string) (p image.Policy) {
	t.Helper()
	var err error
	if p.Mirrors, err = image.ParseMirrors(rules); err != nil {
		t.Fatal(err)
	}
	if p.Disallowed, err = image.ParseTags("latest"); err != nil {
		t.Fatal(err)
	}
	return p
}

// strictPolicy returns a policy with every rule.
func strictPolicy(t testing.TB, denied ...image.DeniedImage) image.Policy {
	t.Helper()
	p := newPolicy(t, exampleRules+",docker.io/acme=")
	patterns := func(list string, items ...string) image.Patterns {
		t.Helper()
		patterns, err := image.NewPatterns(list, items)
		if err != nil {
			t.Fatal(err)
		}
		return patterns
	}
	p.Allowed = patterns(image.ListAllowed, "docker.mirror.example", "k8s.mirror.example", "quay.io/team")
	p.RequireDigest = patterns(image.ListRequireDigest, "quay.io/team/prod", "docker.io/library/postgres")
	var err error
	if p.Disallowed, err = image.NewTags([]string{"latest", "*-snapshot"}); err != nil {
		t.Fatal(err)
	}
	denied = append([]image.DeniedImage{
		{Image: "quay.io/team/old", Reason: "CVE-1"}, {Image: "redis:7.0", Reason: "CVE-2"}, {Image: "gcr.io/bad", Reason: "CVE-3"},
	}, denied...)
	if p.Denied, err = image.NewDenied(denied); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

// bound is a verdict with its rules.
type bound func(*Request) Response

func denyBy(policy image.Policy) bound {
	return func(r *Request) Response { return Deny(&Rules{Policy: policy}, r) }
}

func warnBy(policy image.Policy) bound {
	return func(r *Request) Response { return Warn(&Rules{Policy: policy}, r) }
}

func mutateBy(changes Changes) bound {
	return func(r *Request) Response { return Mutate(&Rules{Changes: changes}, r) }
}

func mutateAndWarnBy(policy image.Policy) bound {
	return func(r *Request) Response {
		return MutateAndWarn(&Rules{Policy: policy, Changes: Changes{Mirrors: policy.Mirrors}}, r)
	}
}

func unknownMode(r *Request) Response { return UnknownMode(&Rules{}, r) }

func (b bound) verdict(_ *Rules, r *Request) Response { return b(r) }

func fixed(policy image.Policy) Source { return Fixed(Rules{Policy: policy}) }

// decide returns the response of a verdict as the API server decodes it.
func decide(t testing.TB, verdict bound, r *Request) *admissionv1.AdmissionResponse {
	t.Helper()
	resp := verdict(r)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(resp.append(nil, "", ""), &review); err != nil {
		t.Fatal(err)
	}
	return withoutUID(t, review.Response)
}

// withoutUID removes the annotation with the uid, which denials and warnings must have.
func withoutUID(t testing.TB, resp *admissionv1.AdmissionResponse) *admissionv1.AdmissionResponse {
	t.Helper()
	if _, ok := resp.AuditAnnotations["uid"]; ok != (!resp.Allowed || len(resp.Warnings) > 0) {
		t.Errorf("audit annotations %v of a response with allowed=%v and %d warnings", resp.AuditAnnotations, resp.Allowed, len(resp.Warnings))
	}
	if delete(resp.AuditAnnotations, "uid"); len(resp.AuditAnnotations) == 0 {
		resp.AuditAnnotations = nil
	}
	return resp
}

// allowed returns a response without changes and warnings.
func allowed() *admissionv1.AdmissionResponse { return &admissionv1.AdmissionResponse{Allowed: true} }
