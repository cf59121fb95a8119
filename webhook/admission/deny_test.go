package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// denial is a denying response.
func denial(message string, warnings ...string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Warnings: warnings,
		Result:   &metav1.Status{Status: "Failure", Code: 403, Reason: "Forbidden", Message: message},
	}
}

const (
	app      = `container "app" (spec.containers[0].image)`
	uses     = app + ` uses image `
	latest   = `: tag "latest" is not allowed because its image can change: `
	untagged = `: no tag means tag "latest", which is not allowed because its image can change: `
	spelling = `: use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST`

	tagWarning     = "use `latest` tag is not allowed: "
	invalidWarning = "invalid image reference: "
)

// remedy returns the end of a message about an image.
func remedy(name string) string {
	return "use a fixed tag such as " + name + ":1.2.3 or a digest (" + name + "@sha256:...)"
}

func TestDenyChecksTagsAndReferences(t *testing.T) {
	tests := []struct {
		name string
		pod  string
		want *admissionv1.AdmissionResponse
	}{
		{"fixed tag", podOf("nginx:1.25"), allowed()},
		{"other case", podOf("nginx:LATEST"), allowed()},
		{"digest", podOf("nginx" + digest), allowed()},
		{"latest with digest", podOf("nginx:latest" + digest), allowed()},
		{"no containers", `{}`, allowed()},
		{
			"static pod",
			`{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"containers":[{"name":"app","image":"nginx"}]}}`,
			allowed(),
		},
		{
			"latest", podOf("quay.io/app:latest"),
			denial(uses+`"quay.io/app:latest"`+latest+remedy("quay.io/app"), tagWarning+app+` has image "quay.io/app:latest"`),
		},
		{
			"untagged", podOf("quay.io/app"),
			denial(uses+`"quay.io/app"`+untagged+remedy("quay.io/app"), tagWarning+app+` has image "quay.io/app"`),
		},
		{
			"port and no tag", podOf("registry:5000/app"),
			denial(uses+`"registry:5000/app"`+untagged+remedy("registry:5000/app"), tagWarning+app+` has image "registry:5000/app"`),
		},
		{
			"mirrored: both names", podOf("docker.mirror.example/library/nginx:latest"),
			denial(uses+`"nginx:latest" (mirrored to "docker.mirror.example/library/nginx:latest")`+latest+remedy("nginx"),
				tagWarning+app+` has image "nginx:latest"`),
		},
		{
			"mirrored and untagged", podOf("k8s.mirror.example/pause"),
			denial(uses+`"registry.k8s.io/pause" (mirrored to "k8s.mirror.example/pause")`+untagged+remedy("registry.k8s.io/pause"),
				tagWarning+app+` has image "registry.k8s.io/pause"`),
		},
		{"empty tag", podOf("nginx:"), denial(uses+`"nginx:": invalid reference (invalid reference format)`+spelling, invalidWarning+app+` has image "nginx:"`)},
		{"space", podOf(" nginx:1"), denial(uses+`" nginx:1": invalid reference (invalid reference format)`+spelling, invalidWarning+app+` has image " nginx:1"`)},
		{"scheme", podOf("https://x.example/nginx:1"), denial(uses+`"https://x.example/nginx:1": invalid reference (invalid reference format)`+spelling, invalidWarning+app+` has image "https://x.example/nginx:1"`)},
		{"upper case", podOf("Nginx:1"), denial(uses+`"Nginx:1": invalid reference (invalid reference format: repository name (library/Nginx) must be lowercase)`+spelling, invalidWarning+app+` has image "Nginx:1"`)},
		{"no image", `{"spec":{"containers":[{"name":"app"}]}}`, denial(uses+`"": invalid reference (invalid reference format)`+spelling, invalidWarning+app+` has image ""`)},
		{"not ASCII", podOf("n\u011finx:1"), denial(uses+`"n\u011finx:1": invalid reference (invalid reference format)`+spelling, invalidWarning+app+` has image "n\u011finx:1"`)},
		{
			"all at once",
			`{"spec":{
				"containers":[{"name":"app","image":"nginx:1.25"},{"name":"side","image":"quay.io/side:latest"}],
				"initContainers":[{"name":"bad","image":"Bad"}],
				"ephemeralContainers":[{"name":"debug","image":"quay.io/debug"}],
				"volumes":[{"name":"model","image":{"reference":"quay.io/model:latest"}}]}}`,
			denial(strings.Join([]string{
				`4 images are not allowed`,
				`- container "side" (spec.containers[1].image) uses image "quay.io/side:latest"` + latest + remedy("quay.io/side"),
				`- container "bad" (spec.initContainers[0].image) uses image "Bad": invalid reference (invalid reference format: repository name (library/Bad) must be lowercase)` + spelling,
				`- container "debug" (spec.ephemeralContainers[0].image) uses image "quay.io/debug"` + untagged + remedy("quay.io/debug"),
				`- volume "model" (spec.volumes[0].image.reference) uses image "quay.io/model:latest"` + latest + remedy("quay.io/model"),
			}, "\n"),
				tagWarning+`container "side" (spec.containers[1].image) has image "quay.io/side:latest"`,
				invalidWarning+`container "bad" (spec.initContainers[0].image) has image "Bad"`,
				tagWarning+`container "debug" (spec.ephemeralContainers[0].image) has image "quay.io/debug"`,
				tagWarning+`volume "model" (spec.volumes[0].image.reference) has image "quay.io/model:latest"`,
			),
		},
	}
	deny := denyBy(newPolicy(t, exampleRules))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decide(t, deny, created(t, tt.pod))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	foreign = `: its registry is not allowed: use an image of docker.io, registry.k8s.io, docker.mirror.example, k8s.mirror.example or quay.io/team`

	deniedWarning   = "image is denied: "
	registryWarning = "registry is not allowed: "
	digestWarning   = "digest is required: "
)

func TestDenyAppliesTheRulesOfThePolicyFile(t *testing.T) {
	const mirror = "docker.mirror.example/library/"
	tests := []struct {
		name string
		pod  string
		want *admissionv1.AdmissionResponse
	}{
		{"allowed registry", podOf("quay.io/team/app:1"), allowed()},
		{"on the mirror", podOf(mirror + "nginx:1.25"), allowed()},
		{"required digest", podOf("quay.io/team/prod/app:1-snapshot" + digest), allowed()},
		{"denied tag with a digest", podOf(mirror + "redis:7.0" + digest), allowed()},
		{
			"denied", podOf("quay.io/team/old/app:1"),
			denial(uses+`"quay.io/team/old/app:1": it is denied (CVE-1): use another image`,
				deniedWarning+app+` has image "quay.io/team/old/app:1": CVE-1`),
		},
		{
			"denied by the original name", podOf(mirror + "redis:7.0"),
			denial(uses+`"redis:7.0" (mirrored to "`+mirror+`redis:7.0"): it is denied (CVE-2): use another image`,
				deniedWarning+app+` has image "redis:7.0": CVE-2`),
		},
		{
			"another registry", podOf("gcr.io/app:1"),
			denial(uses+`"gcr.io/app:1"`+foreign, registryWarning+app+` has image "gcr.io/app:1"`),
		},
		{
			"excluded from its mirror", podOf("acme/app:1"),
			denial(uses+`"acme/app:1"`+foreign, registryWarning+app+` has image "acme/app:1"`),
		},
		{
			"not mirrored", podOf("nginx:1.25"),
			denial(uses+`"nginx:1.25": its registry is not allowed, and it was not mirrored: use "`+mirror+`nginx:1.25"`,
				registryWarning+app+` has image "nginx:1.25"`),
		},
		{
			"no digest", podOf("quay.io/team/prod/app:1-snapshot"), // a digest solves the tag too
			denial(uses+`"quay.io/team/prod/app:1-snapshot": a digest is required: use quay.io/team/prod/app:1-snapshot@sha256:...`,
				digestWarning+app+` has image "quay.io/team/prod/app:1-snapshot"`),
		},
		{
			"neither tag nor digest", podOf("quay.io/team/prod/app"),
			denial(uses+`"quay.io/team/prod/app": a digest is required: use quay.io/team/prod/app@sha256:...`,
				digestWarning+app+` has image "quay.io/team/prod/app"`),
		},
		{
			"no digest, which the original name requires", podOf(mirror + "postgres:16"),
			denial(uses+`"postgres:16" (mirrored to "`+mirror+`postgres:16"): a digest is required: use postgres:16@sha256:...`,
				digestWarning+app+` has image "postgres:16"`),
		},
		{
			"tag pattern", podOf("quay.io/team/app:1.2-snapshot"),
			denial(uses+`"quay.io/team/app:1.2-snapshot": tag "1.2-snapshot" (pattern *-snapshot) is not allowed because its image can change: `+remedy("quay.io/team/app"),
				"use `1.2-snapshot` tag is not allowed: "+app+` has image "quay.io/team/app:1.2-snapshot"`),
		},
		{
			"several rules", podOf("gcr.io/bad/app"),
			denial(uses+`"gcr.io/bad/app": it is denied (CVE-3): use another image; `+strings.TrimPrefix(foreign, ": ")+"; "+strings.TrimPrefix(untagged, ": ")+remedy("gcr.io/bad/app"),
				deniedWarning+app+` has image "gcr.io/bad/app": CVE-3`, registryWarning+app+` has image "gcr.io/bad/app"`, tagWarning+app+` has image "gcr.io/bad/app"`),
		},
		{
			"several rules that mirroring would change", podOf("redis:7.0"),
			denial(uses+`"redis:7.0": it is denied (CVE-2): use another image; its registry is not allowed, and it was not mirrored: use "`+mirror+`redis:7.0"`,
				deniedWarning+app+` has image "redis:7.0": CVE-2`, registryWarning+app+` has image "redis:7.0"`),
		},
		{
			"several images",
			`{"spec":{"containers":[{"name":"app","image":"quay.io/team/app:1-snapshot"}],"initContainers":[{"name":"init","image":"gcr.io/app:latest"}]}}`,
			denial(strings.Join([]string{
				`2 images are not allowed`,
				`- ` + uses + `"quay.io/team/app:1-snapshot": tag "1-snapshot" (pattern *-snapshot) is not allowed because its image can change: ` + remedy("quay.io/team/app"),
				`- container "init" (spec.initContainers[0].image) uses image "gcr.io/app:latest"` + foreign + "; " + strings.TrimPrefix(latest, ": ") + remedy("gcr.io/app"),
			}, "\n"),
				"use `1-snapshot` tag is not allowed: "+app+` has image "quay.io/team/app:1-snapshot"`,
				registryWarning+`container "init" (spec.initContainers[0].image) has image "gcr.io/app:latest"`,
				tagWarning+`container "init" (spec.initContainers[0].image) has image "gcr.io/app:latest"`),
		},
	}
	policy := strictPolicy(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			request := created(t, tt.pod)
			if diff := cmp.Diff(tt.want, decide(t, denyBy(policy), request)); diff != "" {
				t.Errorf("denial (-want +got):\n%s", diff)
			}
			want := &admissionv1.AdmissionResponse{Allowed: true, Warnings: tt.want.Warnings}
			if diff := cmp.Diff(want, decide(t, warnBy(policy), request)); diff != "" {
				t.Errorf("warning (-want +got):\n%s", diff)
			}
		})
	}
}

// The images of a workload are mirrored later, in its pods.
func TestWorkloadsGetTheWarningsOfTheirPods(t *testing.T) {
	const usage = `container "app" (spec.template.spec.containers[0].image) has image `
	const end = "; its pods will be denied"
	policy := strictPolicy(t)
	for name, want := range map[string][]string{
		"nginx:1.25":                    nil, // is mirrored
		"redis:7.0":                     {deniedWarning + usage + `"redis:7.0": CVE-2` + end},
		"acme/app:1":                    {registryWarning + usage + `"acme/app:1"` + end},
		"postgres:16":                   {digestWarning + usage + `"postgres:16"` + end},
		"quay.io/team/app:1.2-snapshot": {"use `1.2-snapshot` tag is not allowed: " + usage + `"quay.io/team/app:1.2-snapshot"` + end},
	} {
		got := denyBy(policy)(created(t, deploymentOf(name)).withKind(deploymentKind))
		if diff := cmp.Diff(want, got.Warnings); diff != "" || !got.Allowed {
			t.Errorf("%s: allowed=%v, warnings (-want +got):\n%s", name, got.Allowed, diff)
		}
	}
}

func TestDenyEscapesReasons(t *testing.T) {
	policy := strictPolicy(t, image.DeniedImage{Image: "quay.io/team/odd", Reason: "a\n- b\x1b[31m \"c\" ü 漏洞 \u202e"})
	const escaped = `a\n- b\x1b[31m "c" ü 漏洞 \u202e`
	want := denial(uses+`"quay.io/team/odd:1": it is denied (`+escaped+`): use another image`, deniedWarning+app+` has image "quay.io/team/odd:1": `+escaped)
	if diff := cmp.Diff(want, decide(t, denyBy(policy), created(t, podOf("quay.io/team/odd:1")))); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestDenyNamesTheRegistriesOfAPolicy(t *testing.T) {
	tests := []struct {
		rules   string
		allowed []string
		want    string
	}{
		{"", []string{"m.example"}, "m.example"},
		{"docker.io=m.example", []string{"m.example"}, "docker.io or m.example"},
		{"docker.io=m.example", []string{"docker.io", "m.example"}, "docker.io or m.example"},
		{"docker.io=m.example,quay.io=", []string{"quay.io", "m.example"}, "docker.io, quay.io or m.example"},
		{"*=m.example,gcr.io=", []string{"m.example", "ghcr.io"}, "m.example or ghcr.io"},
		{"docker.io=m.example", []string{"m.example", "b.example", "c.example", "d.example"}, "docker.io, m.example, b.example, c.example or d.example"},
		{"docker.io=m.example", []string{"m.example", "b.example", "c.example", "d.example", "e.example"}, "docker.io, m.example, b.example, c.example, d.example or 1 more"},
		{"docker.io=m.example,quay.io=b.example", []string{"m.example", "b.example", "c.example", "d.example", "e.example"}, "docker.io, quay.io, m.example, b.example, c.example or 2 more"},
	}
	for _, tt := range tests {
		p := newPolicy(t, tt.rules)
		var err error
		if p.Allowed, err = image.NewPatterns(image.ListAllowed, tt.allowed); err != nil {
			t.Fatal(err)
		}
		want := uses + `"gcr.io/app:1": its registry is not allowed: use an image of ` + tt.want
		if got := denyBy(p)(created(t, podOf("gcr.io/app:1"))).Message; got != want {
			t.Errorf("mirrors %q, allowed registries %q:\ngot  %s\nwant %s", tt.rules, tt.allowed, got, want)
		}
	}
}

func TestDenyNamesEveryOriginOfASharedMirror(t *testing.T) {
	deny := denyBy(newPolicy(t, "docker.io=m.example/all,quay.io=m.example/all"))
	want := denial(uses+`"acme/app:latest" or "quay.io/acme/app:latest" (mirrored to "m.example/all/acme/app:latest")`+latest+remedy("m.example/all/acme/app"),
		tagWarning+app+` has image "m.example/all/acme/app:latest"`)
	if diff := cmp.Diff(want, decide(t, deny, created(t, podOf("m.example/all/acme/app:latest")))); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestDenyUsesTheDisallowedTags(t *testing.T) {
	p := newPolicy(t, "")
	var err error
	if p.Disallowed, err = image.ParseTags("dev,edge"); err != nil {
		t.Fatal(err)
	}
	want := denial(uses+`"nginx:edge": tag "edge" is not allowed because its image can change: `+remedy("nginx"),
		"use `edge` tag is not allowed: "+app+` has image "nginx:edge"`)
	if diff := cmp.Diff(want, decide(t, denyBy(p), created(t, podOf("nginx:edge")))); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(allowed(), decide(t, denyBy(p), created(t, podOf("nginx:latest")))); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestWorkloadsGetWarningsOnly(t *testing.T) {
	const usage = `container "app" (spec.template.spec.containers[0].image) has image "nginx:latest"`
	policy := newPolicy(t, exampleRules)
	tests := []struct {
		name    string
		verdict bound
		want    []string // warnings
	}{
		{"Deny", denyBy(policy), []string{tagWarning + usage + "; its pods will be denied"}},
		{"Warn", warnBy(policy), []string{tagWarning + usage}},
		{"Mirror", mutateBy(Changes{Mirrors: policy.Mirrors}), nil},
		{"UnknownMode", unknownMode, []string{`namespace "shop" is treated as deny: its label image-webhook.dev/mode is not deny, warn or off`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := &admissionv1.AdmissionResponse{Allowed: true, Warnings: tt.want}
			if diff := cmp.Diff(want, decide(t, tt.verdict, created(t, deploymentOf("nginx:latest")).withKind(deploymentKind))); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkloadsWithTheMirrorPodAnnotationAreChecked(t *testing.T) {
	r := created(t, deploymentOf("nginx:latest")).withKind(deploymentKind)
	r.Object.Metadata.Annotations = podimages.Pairs(`{"kubernetes.io/config.mirror":"4f2a"}`)
	if got := denyBy(newPolicy(t, ""))(r); len(got.Warnings) != 1 {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func TestUpdatesWithTheMirrorPodAnnotationAreChecked(t *testing.T) {
	// An update can contain the annotation, but the API server does not store it.
	const static = `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}},"spec":{"ephemeralContainers":[{"name":"debug","image":"nginx:latest"}]}}`
	r := updated(t, `{}`, static)
	r.SubResource = ephemeralContainers
	if denyBy(newPolicy(t, exampleRules))(r).Allowed {
		t.Error("not denied")
	}
	if mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors})(r).Patch == nil {
		t.Error("not mirrored")
	}
}

func TestWorkloadWarningsNameTheWrittenImage(t *testing.T) {
	r := created(t, deploymentOf("docker.mirror.example/library/nginx:latest")).withKind(deploymentKind)
	want := []string{tagWarning + `container "app" (spec.template.spec.containers[0].image) has image "docker.mirror.example/library/nginx:latest"; its pods will be denied`}
	if diff := cmp.Diff(want, denyBy(newPolicy(t, exampleRules))(r).Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestDenialsAreASCII(t *testing.T) {
	// The parser's error contains the reference, which must not control a terminal.
	message := denyBy(newPolicy(t, ""))(created(t, podOf("N) is fine\n\u001b[32mcreated (x"))).Message
	if strings.ContainsFunc(message, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q", message)
	}
}

func TestDenyMessagesAreBounded(t *testing.T) {
	deny := denyBy(newPolicy(t, exampleRules))
	for _, ref := range []string{strings.Repeat("A", 1<<20), strings.Repeat("\u00fc", 1<<20), strings.Repeat("a.", 500) + "a/x:latest"} {
		resp := deny(created(t, podOf(ref)))
		if resp.Allowed || len(resp.Message) > 8192 {
			t.Errorf("allowed %v with a message of %d bytes", resp.Allowed, len(resp.Message))
		}
	}
}

func TestDenyDescribesTheFirstViolations(t *testing.T) {
	tests := []struct {
		images                  int
		first, last, andWarning string // lines
	}{
		{maxShown + 2, "12 images are not allowed", "- and 2 more", "and 2 more images are not allowed"},
		{maxCounted + 1, "at least 1000 images are not allowed", "- and at least 990 more", "and at least 990 more images are not allowed"},
	}
	for _, tt := range tests {
		containers := strings.Repeat(`{"name":"app","image":"nginx"},`, tt.images)
		resp := denyBy(newPolicy(t, ""))(created(t, `{"spec":{"containers":[`+strings.TrimSuffix(containers, ",")+`]}}`))
		lines := strings.Split(resp.Message, "\n")
		if first, last := lines[0], lines[len(lines)-1]; len(lines) != maxShown+2 || first != tt.first || last != tt.last {
			t.Errorf("%d lines, from %q to %q", len(lines), first, last)
		}
		if last := resp.Warnings[len(resp.Warnings)-1]; len(resp.Warnings) != maxShown+1 || last != tt.andWarning {
			t.Errorf("%d warnings, the last %q", len(resp.Warnings), last)
		}
	}
}

func TestWarningsCountTheImagesWithoutOne(t *testing.T) {
	deny := denyBy(strictPolicy(t))
	const several, single = `{"name":"app","image":"gcr.io/bad/app"}`, `{"name":"app","image":"gcr.io/app:1"}` // 3 rules, and 1
	tests := []struct {
		containers string
		warnings   int
		last       string // of them
	}{
		{strings.Repeat(several+",", 5), 15, tagWarning + `container "app" (spec.containers[4].image) has image "gcr.io/bad/app"`},
		{strings.Repeat(several+",", 6), 16, "and 1 more image is not allowed"},
		{strings.Repeat(several+",", 4) + strings.Repeat(single+",", 4), 16, "and 1 more image is not allowed"},
		{strings.Repeat(single+",", 9) + strings.Repeat(several+",", 3), 13, "and 2 more images are not allowed"}, // of the first ten
	}
	for _, tt := range tests {
		resp := deny(created(t, `{"spec":{"containers":[`+strings.TrimSuffix(tt.containers, ",")+`]}}`))
		if n := len(resp.Warnings); n != tt.warnings || resp.Warnings[n-1] != tt.last {
			t.Errorf("%d warnings, the last %q, want %d with %q", n, resp.Warnings[n-1], tt.warnings, tt.last)
		}
	}
}

func TestWarningsFitTheLimitsOfTheAPIServer(t *testing.T) {
	// The API server truncates warnings at 256 bytes and drops those beyond 4096 in total. A
	// header must be one line. Only a reason of the policy file is not ASCII.
	long := strings.Repeat("x", 300)
	path := strings.Repeat("a/", 100) + "a"
	policy := strictPolicy(t, image.DeniedImage{Image: "gcr.io/a", Reason: strings.Repeat("\u00fc\n", 100)})
	// An image of gcr.io breaks three rules.
	for _, reference := range []string{long, long + ":latest", strings.Repeat("\u00fc\n", 300), "quay.io/" + path, "gcr.io/" + path, "gcr.io/a"} {
		containers := strings.Repeat(`{"name":"`+long+`","image":`+quote(reference)+`},`, 1000)
		r := created(t, `{"spec":{"template":{"spec":{"containers":[`+strings.TrimSuffix(containers, ",")+`]}}}}`).withKind(deploymentKind)
		warnings := denyBy(policy)(r).Warnings
		if total := len(strings.Join(warnings, "")); total == 0 || total > 4096 {
			t.Errorf("%d bytes of warnings", total)
		}
		for _, w := range warnings {
			if len(w) > 256 || !strings.HasSuffix(w, "; its pods will be denied") || strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%d bytes: %s", len(w), w)
			}
		}
	}
}
