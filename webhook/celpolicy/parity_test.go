package celpolicy

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/mutation"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

const head = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"

// policies are policy files, without their first two lines.
var policies = map[string]string{
	"the default": "",
	"no rule":     "disallowedTags: []\n",
	"mirrors": `mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
  - {source: registry.k8s.io, mirror: k8s.mirror.example}
`,
	"every field": `mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
  - {source: registry.k8s.io, mirror: MIRROR.example:5000/k8s}
  - {source: docker.io/acme, mirror: ""}
  - {source: docker.io/library/special, mirror: docker.mirror.example/moved}
  - {source: ghcr.io/deep/path, mirror: mirror.example/x/y}
  - {source: ghcr.io, mirror: mirror.example/x}
disallowedTags: [latest, "*-snapshot", "dev-*", "a*b.*c"]
exemptImages: [quay.io/team/nightly, docker.io/library/busybox, ghcr.io/prod/debug]
allowedRegistries: [docker.mirror.example, "mirror.example:5000", mirror.example/x, quay.io/team, ghcr.io/prod]
requireDigest: [ghcr.io/prod, docker.io/library/postgres]
deniedImages:
  - {image: "redis:7.0", reason: CVE-2}
  - {image: docker.mirror.example/library/httpd, reason: 'it''s "bad" \ worse'}
  - {image: "*@sha256:2222222222222222222222222222222222222222222222222222222222222222", reason: CVE-5}
  - {image: ghcr.io/bad, reason: CVE-6}
  - {image: ghcr.io/bad/worse, reason: CVE-7}
  - {image: "ghcr.io/bad/worse:1", reason: CVE-8}
imagePullPolicy: Always
imagePullSecrets: [mirror, second]
`,
	"a wildcard": `mirrors:
  - {source: docker.io, mirror: mirror.example/hub}
  - {source: docker.io/library, mirror: mirror.example/hub/library}
  - {source: quay.io/team, mirror: ""}
  - {source: "*", mirror: mirror.example/all}
requireDigest: ["*"]
exemptImages: [docker.io/library/nginx]
`,
	"a mirror on Docker Hub": `mirrors:
  - {source: quay.io, mirror: docker.io}
  - {source: gcr.io/a, mirror: docker.io/library}
`,
	"two sources with one mirror": `mirrors:
  - {source: docker.io, mirror: "mirror.example:443"}
  - {source: quay.io, mirror: mirror.example}
  - {source: "registry.example:5000", mirror: "[::1]:5000/r"}
allowedRegistries: [mirror.example, "[::1]:5000"]
deniedImages: [{image: quay.io/team, reason: old}, {image: docker.io/team, reason: older}]
`,
}

const (
	pinned  = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	banned  = "@sha256:2222222222222222222222222222222222222222222222222222222222222222"
	longest = 255
)

// references are easily read in another way.
var references = []string{
	"nginx", "nginx:1.25", "library/nginx:1", "docker.io/nginx:1", "index.docker.io/nginx:1", "INDEX.DOCKER.IO/library/nginx:1", "docker.io:443/nginx:1",
	"docker.io:0443/library/nginx:1", "index.docker.io:443/library/nginx", "index.docker.io:5000/library/nginx", "DOCKER.IO/nginx", "docker.mirror.example:443/library/redis:7.0",
	"docker.mirror.example/library/redis:7.0", "DOCKER.mirror.example/library/nginx:1", "registry.k8s.io:0443/pause:3", "Registry.K8s.Io/pause", "mirror.example:05000/k8s/pause:3",
	"mirror.example:5000/k8s", "docker.mirror.example/moved", "docker.mirror.example/moved/sub:latest", "special", "special/x", "library/special/x:1", "mirror.example/x/y/z", "mirror.example/x", "ghcr.io/deep/path", "ghcr.io/deep/pathology:1",
	"quay.io/team/app:LATEST", "quay.io/team/app:latest", "quay.io/team/app:dev-", "quay.io/team/app:1-snapshot", "quay.io/team/app:axb.yc", "quay.io/team/app:axbc", "quay.io/teams/app:1", "quay.io/team", "quay.io/a",
	"quay.io/team/nightly", "quay.io/team/nightly/old", "QUAY.IO/team/nightly:dev-1", "ghcr.io/prod/debug", "ghcr.io/prod/debugger:1", "ghcr.io/prod/app:latest" + pinned, "ghcr.io/bad/worse:1", "ghcr.io/bad/worse/x:1", "ghcr.io/bad:1", "mirror.example/x/bad/worse:1",
	"localhost/app:1", "localhost:5000/app", "[::1]:5000/app:1", "[::1]:5000/r/app:latest", "[::1]/a", "[abc]/x", "[ABC]/x", "[abc]:1/x", "10.0.0.1/app:1", "my_host/app:1", "my_host.example/app:1", "my_host.example:1/app", "My_host/app", "a.b/c", "a/b", "a/b/c/d/e:1",
	"acme/app:latest", "acme:1", "acme/deep/app:1", "busybox", "docker.io/library/busybox:dev-1", "postgres:16" + pinned, "postgres" + pinned, "postgres:16", "httpd:2", "nginx" + banned, "redis:7.0" + pinned, "docker.io/a/b", "docker.io/library/a/b:latest", "docker.mirror.example/library/a.b/c:latest", "docker.mirror.example/a.b/c:latest",
	"gcr.io/a/b:1", "gcr.io/a", "gcr.io/a/b/c", "mirror.example/hub/library/nginx:1", "mirror.example/hub/nginx", "mirror.example/team/app:1", "mirror.example:443/team/app:latest", "docker.mirror.example/" + strings.Repeat("a", 64), "docker.mirror.example/library/" + strings.Repeat("a", 64),
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha512:" + strings.Repeat("a", 128), "sha512:" + strings.Repeat("a", 127),
	"nginx@sha256:short", "nginx:", ":1", "nginx::1", "nginx@", "/nginx", "nginx/", "a//b", "nginx:1:2", "nginx:1@2", "-nginx", "nginx:-1", "UPPER/case", "UPPER", "nginx@sha384:" + strings.Repeat("a", 96), "nginx@sha512:" + strings.Repeat("b", 128), "nginx@sha256:" + strings.Repeat("A", 64), "nginx@md5:" + strings.Repeat("a", 32), "nginx:1" + pinned + "@", "a@b/c", "a.b@c/d:1",
	"a-/b", "a--b/c", "a..b/c", "a__b/c", "a___b/c", "a_-b/c", "a.b.c:1/d", "host:/x", "host:1a/x", "a:1/b:2", "a.b-/c", "-a.b/c", "", " ", "nginx ", "n\nx", "a'b", `a"b`, `a\b`, "\u00fcber", "\u00dcBER/x", "a\x00b",
	strings.Repeat("a", longest-len("library/")), strings.Repeat("a", longest-len("library/")+1), "quay.io/" + strings.Repeat("a", longest), "quay.io/" + strings.Repeat("a", longest+1), "my_host.io/" + strings.Repeat("a", longest-11), "my_host.io/" + strings.Repeat("a", longest-10),
	"docker.mirror.example/library/" + strings.Repeat("a", longest-8), "docker.mirror.example/moved/" + strings.Repeat("a", longest-8), "a/" + strings.Repeat("b", 260) + ":1", "nginx:" + strings.Repeat("t", 128), "nginx:" + strings.Repeat("t", 129), "ghcr.io/" + strings.Repeat("a/", 126) + "b" + ":" + strings.Repeat("t", 128) + pinned, strings.Repeat("h", 900) + ".example/a/" + strings.Repeat("b", 100) + ":1234567890", strings.Repeat("h", 1000) + ".example/a:12345678901234567890",
}

// engine has the verdicts of a policy, as the webhook and as the API server with the policies.
type engine struct {
	rules     *admission.Rules
	pods      denial
	workloads denial
	change    *change // nil: nothing changes
}

var release = version.MajorMinor(1, 36)

func newEngine(t testing.TB, text string) engine {
	t.Helper()
	rules := read(t, text)
	objects, err := New(rules, Options{For: release})
	if err != nil {
		t.Fatal(err)
	}
	e := engine{rules: rules}
	for _, policy := range objects.Validating {
		compiled, err := compileDenial(policy, release)
		if err != nil {
			t.Fatal(err)
		}
		switch policy.Name {
		case Name:
			e.pods = compiled
		case workloadsName:
			e.workloads = compiled
		}
	}
	if len(objects.Mutating) > 0 {
		compiled, err := compileChange(objects.Mutating[0], release)
		if err != nil {
			t.Fatal(err)
		}
		e.change = &compiled
	}
	return e
}

// operation is an operation of a JSON patch.
type operation struct {
	Op, Path string
	Value    any
}

// verdict is what happens to an object.
type verdict struct {
	Message    string // of the denial, on one line; empty: allowed
	Operations []operation
}

// webhook returns the verdict of the webhook about a pod: of Mutate and Deny.
func (e engine) webhook(t testing.TB, pod, old *unstructured.Unstructured) verdict {
	t.Helper()
	r := &admission.Request{Kind: podimages.Pod, Operation: "CREATE", Object: decoded(t, pod)}
	if old != nil {
		r.Operation, r.OldObject = "UPDATE", decoded(t, old)
	}
	v := verdict{Message: oneLine(admission.Deny(e.rules, r).Message)}
	patch := admission.Mutate(e.rules, r).Patch
	if len(patch) == 0 {
		return v
	}
	var operations []map[string]any
	if err := json.Unmarshal(patch, &operations); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		v.Operations = append(v.Operations, operation{o["op"].(string), o["path"].(string), o["value"]})
	}
	sortOperations(v.Operations)
	return v
}

// policies returns the verdict of the policies about a pod.
func (e engine) policies(t testing.TB, pod, old *unstructured.Unstructured) (v verdict) {
	t.Helper()
	r := newRequest(pod, old)
	message, _, err := e.pods.evaluate(r)
	if err != nil {
		t.Fatal(err)
	}
	v.Message = withoutParserReason(message)
	if e.change == nil {
		return v
	}
	operations, _, err := e.change.evaluate(r)
	if err != nil {
		t.Fatal(err)
	}
	for it := operations.(traits.Lister).Iterator(); it.HasNext() == types.True; {
		v.Operations = append(v.Operations, nativeOperation(t, it.Next()))
	}
	sortOperations(v.Operations)
	return v
}

func nativeOperation(t testing.TB, value ref.Val) operation {
	t.Helper()
	native, err := value.ConvertToNative(reflect.TypeFor[*mutation.JSONPatchVal]())
	if err != nil {
		t.Fatal(err)
	}
	o := native.(*mutation.JSONPatchVal)
	text, err := o.Val.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		t.Fatal(err)
	}
	return operation{o.Op, o.Path, text.(*structpb.Value).AsInterface()}
}

// sortOperations sorts operations by their paths: the webhook goes through the fields, the policies through
// the changes. Operations with the same path keep their order.
func sortOperations(operations []operation) {
	slices.SortStableFunc(operations, func(a, b operation) int { return strings.Compare(a.Path, b.Path) })
}

// parserReason matches the reason of the parser of references, which the policies do not know.
var parserReason = regexp.MustCompile(`invalid reference \(.*?\): use \[REGISTRY/\]`)

func withoutParserReason(message string) string {
	return parserReason.ReplaceAllString(message, "invalid reference: use [REGISTRY/]")
}

// oneLine returns a denial of the webhook in the form of the policies: the API server refuses line breaks in
// messages of policies.
func oneLine(message string) string {
	lines := strings.Split(message, "\n- ")
	for i, line := range lines[1:] {
		if !strings.HasPrefix(line, "and ") {
			lines[i+1] = "(" + strconv.Itoa(i+1) + ") " + line
		}
	}
	message = lines[0]
	if len(lines) > 1 {
		message += ": " + strings.Join(lines[1:], "; ")
	}
	return withoutParserReason(message)
}

func decoded(t testing.TB, object *unstructured.Unstructured) *podimages.Object {
	t.Helper()
	content, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var result podimages.Object
	var d jsonfields.Decoder
	if err := d.Decode(content, jsonfields.Unlimited{}, result.Decode); err != nil {
		t.Fatal(err)
	}
	return &result
}

// podWith returns a pod with these images in all fields, in turn.
func podWith(images ...string) *unstructured.Unstructured {
	lists := map[string]any{}
	for i, image := range images {
		list, entry := "containers", map[string]any{"name": "c" + strconv.Itoa(i), "image": image}
		switch i % 4 {
		case 1:
			list = "initContainers"
		case 2:
			list, entry = "volumes", map[string]any{"name": "v" + strconv.Itoa(i), "image": map[string]any{"reference": image}}
		case 3:
			list = "ephemeralContainers"
		}
		entries, _ := lists[list].([]any)
		lists[list] = append(entries, entry)
	}
	return object("v1", "Pod", map[string]any{"spec": lists})
}

func object(apiVersion, kind string, fields map[string]any) *unstructured.Unstructured {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "web"}}
	maps.Copy(o, fields)
	return &unstructured.Unstructured{Object: o}
}

func TestPoliciesSayWhatTheWebhookSays(t *testing.T) {
	for name, text := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, text)
			for _, reference := range references {
				e.compare(t, podWith(reference), nil)
			}
			e.compare(t, podWith(references...), nil)
			for chunk := range slices.Chunk(references, 10) {
				e.compare(t, podWith(append(slices.Clone(chunk[1:]), "nginx")...), podWith(chunk...))
			}
		})
	}
}

// compare compares the verdicts about a pod.
func (e engine) compare(t testing.TB, pod, old *unstructured.Unstructured) {
	t.Helper()
	want, got := e.webhook(t, pod, old), e.policies(t, pod, old)
	if strings.HasSuffix(got.Message, "with names that are too long to show") && want.Message != "" {
		want.Message, got.Message = "", ""
	}
	if diff := cmp.Diff(asciiVerdict(want), asciiVerdict(got)); diff != "" {
		t.Errorf("verdicts differ (-webhook +policies):\n%s\npod: %v", diff, pod.Object)
	}
}

// asciiVerdict writes the texts of a verdict in ASCII. Only the webhook writes an invalid name in ASCII.
func asciiVerdict(v verdict) verdict {
	escaped := strings.NewReplacer(`\u00fc`, "\u00fc", `\u00dc`, "\u00dc", `\x00`, "\x00")
	v.Message = escaped.Replace(v.Message)
	return v
}

// ruleWords are the beginnings of a warning about a workload and of a reason of a policy, for each rule.
var ruleWords = []struct{ warning, reason string }{
	{"image is denied", "it is denied ("}, {"registry is not allowed", "its registry is not allowed"}, {"digest is required", "a digest is required"},
	{"use `", "is not allowed because its image can change"}, {"invalid image reference", "invalid reference ("},
}

func TestPoliciesWarnAboutTheWorkloadsAboutWhichTheWebhookWarns(t *testing.T) {
	for name, text := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, text)
			for _, reference := range references {
				deployment := deploymentOf([]string{reference})
				r := &admission.Request{Kind: podimages.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Operation: "CREATE", Object: decoded(t, deployment)}
				warnings := strings.Join(admission.Deny(e.rules, r).Warnings, "\n")
				message, _, err := e.workloads.evaluate(newRequest(deployment, nil))
				if err != nil {
					t.Fatal(err)
				}
				for _, words := range ruleWords {
					if strings.Contains("\n"+warnings, "\n"+words.warning) != strings.Contains(message, words.reason) {
						t.Errorf("%q: the webhook warns %q, the policy %q", reference, warnings, message)
					}
				}
				if (message != "") != strings.Contains(message, "(spec.template.spec.containers[0].image)") {
					t.Errorf("%q: the warning %q does not name the field", reference, message)
				}
			}
		})
	}
}

func TestLiteralsAreTheirTexts(t *testing.T) {
	p, err := newProgram(release, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "plain", `it's "quoted"`, `back\slash \n`, "new\nline\t\x01\x7f", "\u00fc\U0001F600", "${x} {{y}}"} {
		compiled, _, err := p.compile(literal(text))
		if err != nil {
			t.Fatal(err)
		}
		value, err := p.activate(request{}).evaluate(compiled)
		if err != nil || value.Value() != text {
			t.Errorf("the literal %s is %v, %v; want %q", literal(text), value, err, text)
		}
	}
}
