package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// header is the beginning of every file.
const header = "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\n"

// complete is a file with every field.
const complete = header + `mirrors:
  - source: docker.io
    mirror: docker.mirror.example
  - {source: "*", mirror: mirror.example/all}
  - {source: quay.io/team, mirror: ""}
disallowedTags: [latest, "*-snapshot"]
exemptImages: [docker.io/library/busybox]
allowedRegistries: [docker.mirror.example, mirror.example, quay.io/team]
requireDigest: [quay.io/team/prod]
deniedImages:
  - image: nginx:1.25.0
    reason: CVE-2023-44487
  - {image: "*@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", reason: malware}
imagePullPolicy: Always
imagePullSecrets: [mirror]
`

// read returns the rules of a file without flags.
func read(content string) (*admission.Rules, error) {
	tags, err := image.ParseTags("latest")
	if err != nil {
		return nil, err
	}
	return Read("policy.yaml", []byte(content), Flags{Rules: admission.Rules{Policy: image.Policy{Disallowed: tags}}})
}

// summary has the rules as text.
type summary struct {
	Mirrors, Tags, Exempt, Allowed, RequireDigest string
	Denied                                        int
	AlwaysPull                                    bool
	PullSecrets                                   []string
	Version                                       string
}

func summarize(r *admission.Rules) summary {
	return summary{
		r.Changes.Mirrors.String(), r.Policy.Disallowed.String(), r.Policy.Exempt.String(), r.Policy.Allowed.String(), r.Policy.RequireDigest.String(),
		r.Policy.Denied.Len(), r.Changes.AlwaysPull, r.Changes.PullSecrets, r.Version,
	}
}

func TestFileSetsEveryRule(t *testing.T) {
	rules, err := read(complete)
	if err != nil {
		t.Fatal(err)
	}
	want := summary{
		"docker.io=docker.mirror.example,*=mirror.example/all,quay.io/team=", "latest,*-snapshot", "docker.io/library/busybox",
		"docker.mirror.example,mirror.example,quay.io/team", "quay.io/team/prod", 2, true, []string{"mirror"}, rules.Version,
	}
	if diff := cmp.Diff(want, summarize(rules)); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if rules.Policy.Mirrors.String() != want.Mirrors || len(rules.Version) != 12 {
		t.Errorf("mirrors %q, version %q", rules.Policy.Mirrors, rules.Version)
	}
}

func TestMissingFieldsHaveDefaults(t *testing.T) {
	for name, content := range map[string]string{"YAML": header, "JSON": `{"apiVersion":"image-webhook.dev/v1alpha1","kind":"ImagePolicy"}`} {
		rules, err := read(content)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(summary{Tags: "latest", Version: rules.Version}, summarize(rules)); diff != "" {
			t.Errorf("%s: rules (-want +got):\n%s", name, diff)
		}
	}
	rules, err := read(header + "disallowedTags: []\n")
	if err != nil || rules.Policy.Disallowed.String() != "" {
		t.Errorf("an empty list disallows %q, %v", rules.Policy.Disallowed, err)
	}
}

func TestVersionIsTheDigestOfTheContent(t *testing.T) {
	f, err := Parse("x", []byte(header))
	if err != nil {
		t.Fatal(err)
	}
	if want := "1c3b23480d44"; f.Version != want { // sha256sum | cut -c1-12
		t.Errorf("version %s, want %s", f.Version, want)
	}
}

// invalidFiles are files with one mistake, and the errors without the name of the file.
var invalidFiles = []struct{ name, content, want string }{
	{"empty", "", `: the file is empty: begin with apiVersion: image-webhook.dev/v1alpha1 and kind: ImagePolicy`},
	{"only comments", "# mirrors: []\n---\n", `: the file is empty: begin with apiVersion: image-webhook.dev/v1alpha1 and kind: ImagePolicy`},
	{"a list", "- a\n", `:1:1: not an ImagePolicy: begin with apiVersion: image-webhook.dev/v1alpha1 and kind: ImagePolicy`},
	{"text", "hello", `:1:1: not an ImagePolicy: begin with apiVersion: image-webhook.dev/v1alpha1 and kind: ImagePolicy`},
	{"binary", "\x00\x01\xff", `: invalid YAML: control characters are not allowed: check the quotes and the indentation near this line`},
	{"half written", header + "mirrors:\n  - source: docker.io\n    mirr", `:5: invalid YAML: could not find expected ':': check the quotes and the indentation near this line`},
	{"half written field", header + "mirrors:\n  - source: docker.io\n", `:4:5: the field mirrors[0].mirror is missing: add it`},
	{"tabs", header + "mirrors:\n\t- source: docker.io\n", `:4: invalid YAML: found character that cannot start any token: indent with spaces instead of tabs`},
	{"two documents", header + "---\n" + header, `:3:1: a second document: write one policy per file`},
	{"anchors", header + "exemptImages: &a [quay.io]\nrequireDigest: *a\n", `:3:15: the anchor &a: anchors and aliases are not supported, write the values out`},
	{"billion laughs", "a: &a [x,x]\nb: &b [*a,*a]\n", `:1:4: the anchor &a: anchors and aliases are not supported, write the values out`},
	{"merge key", header + "<<: {mirrors: []}\n", `:3:1: unknown field "<<": use apiVersion, kind, mirrors, disallowedTags, exemptImages, allowedRegistries, requireDigest, deniedImages, imagePullPolicy, imagePullSecrets`},
	{"tag", header + "imagePullPolicy: !!binary QWx3YXlz\n", `:3:18: the tag !!binary: remove it`},

	{"no apiVersion", "kind: ImagePolicy\n", `:1:1: the field apiVersion is missing: add apiVersion: image-webhook.dev/v1alpha1`},
	{"no kind", "apiVersion: image-webhook.dev/v1alpha1\n", `:1:1: the field kind is missing: add kind: ImagePolicy`},
	{"another version", "apiVersion: image-webhook.dev/v2\nkind: ImagePolicy\n", `:1:13: apiVersion is "image-webhook.dev/v2": use image-webhook.dev/v1alpha1`},
	{"another kind", "apiVersion: image-webhook.dev/v1alpha1\nkind: Pod\nspec: {}\n", `:2:7: kind is "Pod": use ImagePolicy`},
	{"a ConfigMap", "apiVersion: v1\nkind: ConfigMap\n", `:1:13: apiVersion is "v1": use image-webhook.dev/v1alpha1`},
	{"unknown field", header + "mirror: []\n", `:3:1: unknown field "mirror": use apiVersion, kind, mirrors, disallowedTags, exemptImages, allowedRegistries, requireDigest, deniedImages, imagePullPolicy, imagePullSecrets`},
	{"field in another case", header + "Mirrors: []\n", `:3:1: unknown field "Mirrors": use apiVersion, kind, mirrors, disallowedTags, exemptImages, allowedRegistries, requireDigest, deniedImages, imagePullPolicy, imagePullSecrets`},
	{"unknown field of an item", header + "mirrors:\n  - source: docker.io\n    target: x.example\n", `:5:5: unknown field "target": use source, mirror`},
	{"duplicate field", header + "exemptImages: [quay.io]\nkind: ImagePolicy\n", `:4:1: field "kind" is also in line 2: remove one of them`},
	{"duplicate field of an item", header + "mirrors:\n  - source: docker.io\n    source: quay.io\n    mirror: x.example\n", `:5:5: field "source" is also in line 4: remove one of them`},
	{"number", header + "disallowedTags: [1.10]\n", `:3:18: disallowedTags[0] is a number, not text: put it in quotes, "1.10"`},
	{"boolean", header + "disallowedTags: [on, true]\n", `:3:22: disallowedTags[1] is a boolean, not text: put it in quotes, "true"`},
	{"date", header + "disallowedTags: [2026-11-29]\n", `:3:18: disallowedTags[0] is a date, not text: put it in quotes, "2026-11-29"`},
	{"null", header + "mirrors: [{source: docker.io, mirror: }]\n", `:3:39: mirrors[0].mirror is empty, not text: write one value, or "" for an empty one`},
	{"null list", header + "mirrors:\n", `:3:9: mirrors is empty, not a list: write [] for no items`},
	{"text instead of a list", header + "mirrors: docker.mirror.example\n", `:3:10: mirrors is text, not a list: write [] for no items`},
	{"mapping instead of a list", header + "mirrors: {docker.io: m.example}\n", `:3:10: mirrors is a mapping, not a list: write [] for no items`},
	{"text instead of a mapping", header + "mirrors: [docker.mirror.example]\n", `:3:11: mirrors[0] is text, not a mapping: use the fields source, mirror`},
	{"list instead of text", header + "imagePullPolicy: [Always]\n", `:3:18: imagePullPolicy is a list, not text: write one value, or "" for an empty one`},

	{"invalid source", header + "mirrors: [{source: quay.io, mirror: q.example}, {source: nginx, mirror: m.example}]\n", `:3:49: mirror rule rewrites "nginx", which has no registry: use REGISTRY[/PATH]=HOST[:PORT][/PATH]; a registry is HOST[:PORT] with a dot or a port, or localhost`},
	{"rules that do not converge", header + "mirrors:\n  - {source: quay.io, mirror: a.example}\n  - {source: a.example, mirror: b.example}\n", `:4:5: mirror rule "quay.io=a.example" sends images to a.example, which rule "a.example=b.example" rewrites again: remove one of the rules or choose another mirror`},
	{"the same source twice", header + "mirrors:\n  - {source: quay.io, mirror: a.example}\n  - {source: quay.io, mirror: b.example}\n", `:5:5: mirror rules "quay.io=a.example" and "quay.io=b.example" are both for quay.io: keep one of them`},
	{"invalid tag", header + "disallowedTags: [latest, \"a b\"]\n", `:3:26: invalid tag "a b": use the tag alone, such as latest: at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or a dash; * matches any characters`},
	{"the same tag twice", header + "disallowedTags: [latest, latest]\n", `:3:26: tag "latest" is in the list twice: keep one of them`},
	{"a tag that a pattern matches", header + "disallowedTags: [dev-1, \"dev-*\"]\n", `:3:18: tag "dev-1" is not needed, because "dev-*" matches the same tags: remove one of them`},
	{"a tag pattern in another one", header + "disallowedTags: [\"dev-*\", \"dev-*-rc*\"]\n", `:3:27: tag "dev-*-rc*" is not needed, because "dev-*" matches the same tags: remove one of them`},
	{"no allowed registry", header + "allowedRegistries: []\n", `:3:20: allowedRegistries is empty, which would deny every image: name registries, or remove the field to allow all of them`},
	{"all registries allowed", header + "allowedRegistries: [\"*\"]\n", `:3:21: image pattern "*" would allow every registry: name registries or paths, or remove the field`},
	{"needless pattern", header + "allowedRegistries: [quay.io/team, quay.io]\n", `:3:21: image pattern "quay.io/team" is not needed, because "quay.io" matches the same images: remove one of them`},
	{"the same pattern twice", header + "exemptImages: [quay.io, QUAY.IO:443]\n", `:3:25: image patterns "quay.io" and "QUAY.IO:443" are the same: keep one of them`},
	{"mirror that is not allowed", header + "mirrors: [{source: docker.io, mirror: m.example}]\nallowedRegistries: [quay.io]\n", `:3:11: mirror rule "docker.io=m.example" sends images to m.example, which allowedRegistries does not allow: add m.example to allowedRegistries, or choose another mirror`},
	{"mirror that is allowed in part", header + "mirrors: [{source: docker.io, mirror: m.example/hub}]\nallowedRegistries: [m.example/hub/library]\n", `:3:11: mirror rule "docker.io=m.example/hub" sends images to m.example/hub, which allowedRegistries does not allow, except images below m.example/hub/library: add m.example/hub to allowedRegistries, or choose another mirror`},
	{"digest behind the wildcard", header + "mirrors: [{source: \"*\", mirror: m.example}]\nrequireDigest: [gcr.io]\n", `:4:17: image pattern "gcr.io" cannot match mirrored images, because mirror rule "*=m.example" does not keep the registry in their names: add a mirror rule for gcr.io, or use the names of the images on the mirror`},
	{"denied image behind the wildcard", header + "mirrors: [{source: \"*\", mirror: m.example}]\ndeniedImages: [{image: gcr.io/a:1, reason: x}]\n", `:4:16: denied image "gcr.io/a:1" cannot match mirrored images, because mirror rule "*=m.example" does not keep the registry in their names: add a mirror rule for gcr.io, or use the names of the images on the mirror`},
	{"digest that is exempt", header + "exemptImages: [quay.io]\nrequireDigest: [quay.io/team]\n", `:4:17: image pattern "quay.io/team" never requires a digest, because exemptImages has "quay.io": remove one of them`},
	{"digest of images that are not allowed", header + "allowedRegistries: [quay.io]\nrequireDigest: [ghcr.io]\n", `:4:17: image pattern "ghcr.io" matches no image that allowedRegistries allows: remove it, or allow its registry`},
	{"denied without a reason", header + "deniedImages: [{image: quay.io, reason: \" \"}]\n", `:3:16: denied image "quay.io" has no reason: say why it is denied, such as CVE-2021-44228`},
	{"denied with a long reason", header + "deniedImages: [{image: quay.io, reason: " + strings.Repeat("x", 501) + "}]\n", `:3:16: denied image "quay.io" has a reason of 501 bytes: use at most 500`},
	{"denied twice", header + "deniedImages: [{image: nginx:1, reason: a}, {image: index.docker.io/library/nginx:1, reason: b}]\n", `:3:45: denied image "index.docker.io/library/nginx:1" is denied twice, also as "nginx:1": keep one of them`},
	{"all images denied", header + "deniedImages: [{image: \"*\", reason: a}]\n", `:3:16: denied image "*" would deny every image: name registries or paths`},
	{"denied name without a registry", header + "deniedImages: [{image: nginx, reason: a}]\n", `:3:16: denied image "nginx" has no registry: use REGISTRY[/PATH], such as docker.io/bitnami, or add a tag or a digest; a registry is HOST[:PORT] with a dot or a port, or localhost`},
	{"invalid digest", header + "deniedImages: [{image: \"*@sha256:1\", reason: a}]\n", `:3:16: denied image "*@sha256:1" has an invalid digest: use *@sha256: and 64 hexadecimal digits`},
	{"huge value", header + "imagePullPolicy: " + strings.Repeat("x", 5000) + "\n", `:3:18: invalid policy "` + strings.Repeat("x", 984) + `...`},
	{"pull policy", header + "imagePullPolicy: always\n", `:3:18: invalid policy "always": use Always, or remove the field to keep the policy of the pod`},
	{"secret without mirrors", header + "imagePullSecrets: [a]\n", `:3:19: imagePullSecrets has no effect without mirrors: add a mirror, or remove the field`},
	{"invalid secret", header + "mirrors: [{source: docker.io, mirror: m.example}]\nimagePullSecrets: [A]\n", `:4:20: invalid name "A" of a Secret: use at most 253 lower-case letters, digits, dots and dashes`},
	{"the same secret twice", header + "mirrors: [{source: docker.io, mirror: m.example}]\nimagePullSecrets: [a, a]\n", `:4:23: the Secret "a" is in the list twice: keep one of them`},
}

func TestInvalidFilesAreRefused(t *testing.T) {
	for _, tt := range invalidFiles {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := read(tt.content)
			if err == nil {
				t.Fatalf("read as %+v", summarize(rules))
			}
			if diff := cmp.Diff("policy.yaml"+tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsAndFileSetDifferentFields(t *testing.T) {
	f, err := Parse("policy.yaml", []byte(header+"allowedRegistries: [m.example]\n"))
	if err != nil {
		t.Fatal(err)
	}
	mirrors, err := image.ParseMirrors("docker.io=m.example")
	if err != nil {
		t.Fatal(err)
	}
	flags := Flags{Rules: admission.Rules{Policy: image.Policy{Mirrors: mirrors}}, Given: map[string]string{image.ListMirrors: "--registry-mirrors"}}
	rules, err := f.Rules(flags)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(summary{Mirrors: "docker.io=m.example", Allowed: "m.example", Version: f.Version}, summarize(rules)); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	for content, want := range map[string]string{
		"mirrors: []\n":                `policy.yaml:3:10: mirrors is set by the flag --registry-mirrors too: remove one of them`,
		"allowedRegistries: [quay.io]": `policy.yaml: mirror rule "docker.io=m.example" sends images to m.example, which allowedRegistries does not allow: add m.example to allowedRegistries, or choose another mirror`,
	} {
		f, err := Parse("policy.yaml", []byte(header+content))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.Rules(flags); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// FuzzParse checks that no file makes the parser panic, and that valid rules converge.
func FuzzParse(f *testing.F) {
	f.Add(complete, "nginx:1.25")
	for _, tt := range invalidFiles {
		f.Add(tt.content, "quay.io/team/app")
	}
	f.Fuzz(func(t *testing.T, content, reference string) {
		rules, err := read(content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "policy.yaml:") {
				t.Errorf("the error %q does not name the file", err)
			}
			return
		}
		ref, err := image.Parse(reference)
		if err != nil {
			return
		}
		checkRules(t, rules, ref)
	})
}

// checkRules checks a reference before and after mirroring.
func checkRules(t *testing.T, rules *admission.Rules, ref image.Reference) {
	t.Helper()
	mirrored, rule := rules.Changes.Mirrors.Rewrite(ref)
	if _, again := rules.Changes.Mirrors.Rewrite(mirrored); again != "" {
		t.Errorf("%q is mirrored twice", ref.Written)
	}
	broken := rules.Policy.Check(mirrored)
	for _, v := range broken {
		if rule != "" && v.Rule == image.RuleRegistry {
			t.Errorf("%q is mirrored to %q by %q, which is not allowed", ref.Written, mirrored.Written, rule)
		}
	}
	if len(rules.Policy.Origins(mirrored)) > 1 {
		return // each origin can have rules
	}
	if diff := cmp.Diff(broken, rules.Policy.CheckUnmirrored(ref)); diff != "" {
		t.Errorf("%q breaks other rules than after mirroring to %q (-after +before):\n%s", ref.Written, mirrored.Written, diff)
	}
}
