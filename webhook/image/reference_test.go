package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
)

const (
	sha256Hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sha256Ref = "sha256:" + sha256Hex
	sha512Ref = "sha512:" + sha256Hex + sha256Hex
)

// exampleRules are the mirror rules of deploy/04-webhook.yaml.
const exampleRules = "docker.mirror.example,registry.k8s.io:k8s.mirror.example"

func normalized(registry, path, tag, digest string) Reference {
	return Reference{Registry: registry, Path: path, Tag: tag, Digest: digest}
}

// valid are references that the kubelet accepts.
var valid = []struct {
	in       string    // as written in a pod
	want     Reference // without the written form
	floating string    // the tag that decides which image is pulled
	mirrored string    // with exampleRules; empty: unchanged
}{
	// Docker Hub has two names and is the registry of images without one; its official
	// images are below library/.
	{"nginx", normalized("docker.io", "library/nginx", "", ""), "latest", "docker.mirror.example/library/nginx"},
	{"nginx:1.25", normalized("docker.io", "library/nginx", "1.25", ""), "1.25", "docker.mirror.example/library/nginx:1.25"},
	{"library/nginx:1", normalized("docker.io", "library/nginx", "1", ""), "1", "docker.mirror.example/library/nginx:1"},
	{"docker.io/nginx:1", normalized("docker.io", "library/nginx", "1", ""), "1", "docker.mirror.example/library/nginx:1"},
	{"docker.io/library/nginx:1", normalized("docker.io", "library/nginx", "1", ""), "1", "docker.mirror.example/library/nginx:1"},
	{"index.docker.io/nginx:1", normalized("docker.io", "library/nginx", "1", ""), "1", "docker.mirror.example/library/nginx:1"},
	{"index.docker.io/library/nginx:1", normalized("docker.io", "library/nginx", "1", ""), "1", "docker.mirror.example/library/nginx:1"},
	{"bitnami/redis:7", normalized("docker.io", "bitnami/redis", "7", ""), "7", "docker.mirror.example/bitnami/redis:7"},
	{"a/b/c/d:1", normalized("docker.io", "a/b/c/d", "1", ""), "1", "docker.mirror.example/a/b/c/d:1"},
	{"latest", normalized("docker.io", "library/latest", "", ""), "latest", "docker.mirror.example/library/latest"},
	{"registry-1.docker.io/nginx:1", normalized("registry-1.docker.io", "nginx", "1", ""), "1", ""},
	// The first component is a registry if it has a dot, a colon or an upper-case letter,
	// or is localhost.
	{"registry.k8s.io/pause:3.10", normalized("registry.k8s.io", "pause", "3.10", ""), "3.10", "k8s.mirror.example/pause:3.10"},
	{"registry.k8s.io/ingress/controller:v1", normalized("registry.k8s.io", "ingress/controller", "v1", ""), "v1", "k8s.mirror.example/ingress/controller:v1"},
	{"quay.io/x", normalized("quay.io", "x", "", ""), "latest", ""},
	{"ghcr.io/x/y:latest", normalized("ghcr.io", "x/y", "latest", ""), "latest", ""},
	{"localhost/x:1", normalized("localhost", "x", "1", ""), "1", ""},
	{"host:5000/x:1", normalized("host:5000", "x", "1", ""), "1", ""},
	{"registry:5000/app", normalized("registry:5000", "app", "", ""), "latest", ""},
	{"FOO/x:1", normalized("FOO", "x", "1", ""), "1", ""},
	{"[::1]:5000/x:1", normalized("[::1]:5000", "x", "1", ""), "1", ""},
	{strings.Repeat("a.", 510) + "a/x", normalized(strings.Repeat("a.", 510)+"a", "x", "", ""), "latest", ""},
	// The grammar has no host with an underscore, but a container runtime connects to it.
	{"quay_x.io/app/web:1", normalized("quay_x.io", "app/web", "1", ""), "1", ""},
	// Without a slash, the colon precedes a tag and not a port.
	{"registry:5000", normalized("docker.io", "library/registry", "5000", ""), "5000", "docker.mirror.example/library/registry:5000"},
	// Tags are case-sensitive; these are not latest.
	{"nginx:latest", normalized("docker.io", "library/nginx", "latest", ""), "latest", "docker.mirror.example/library/nginx:latest"},
	{"nginx:LATEST", normalized("docker.io", "library/nginx", "LATEST", ""), "LATEST", "docker.mirror.example/library/nginx:LATEST"},
	{"nginx:latest-alpine", normalized("docker.io", "library/nginx", "latest-alpine", ""), "latest-alpine", "docker.mirror.example/library/nginx:latest-alpine"},
	// A digest pins the image regardless of the tag; both are kept byte for byte.
	{"nginx@" + sha256Ref, normalized("docker.io", "library/nginx", "", sha256Ref), "", "docker.mirror.example/library/nginx@" + sha256Ref},
	{"nginx@" + sha512Ref, normalized("docker.io", "library/nginx", "", sha512Ref), "", "docker.mirror.example/library/nginx@" + sha512Ref},
	{"nginx:1.25@" + sha512Ref, normalized("docker.io", "library/nginx", "1.25", sha512Ref), "", "docker.mirror.example/library/nginx:1.25@" + sha512Ref},
	{"nginx:latest@" + sha256Ref, normalized("docker.io", "library/nginx", "latest", sha256Ref), "", "docker.mirror.example/library/nginx:latest@" + sha256Ref},
}

func mustParse(t testing.TB, s string) Reference {
	t.Helper()
	ref, err := Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return ref
}

func TestParseNormalizesReferences(t *testing.T) {
	for _, tt := range valid {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Written = tt.in
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if got.floatingTag() != tt.floating {
				t.Errorf("floatingTag is %q, want %q", got.floatingTag(), tt.floating)
			}
			if !strings.HasSuffix(tt.in, got.suffix()) {
				t.Errorf("%q does not end with its suffix %q", tt.in, got.suffix())
			}
			checkRewrite(t, exampleRules, tt.in, tt.mirrored)
		})
	}
}

// invalidReferences are strings that Parse refuses, with its errors.
var invalidReferences = []struct{ in, want string }{
	{"", "invalid reference format"},
	{"nginx:", "invalid reference format"},
	{" nginx:1", "invalid reference format"},
	{"nginx:1 ", "invalid reference format"},
	{"nginx:1\n", "invalid reference format"},
	{"https://example.com/nginx:1", "invalid reference format"},
	{"Nginx:1", "invalid reference format: repository name (library/Nginx) must be lowercase"},
	{"quay.io/Foo:1", "invalid reference format: repository name (Foo) must be lowercase"},
	{"nginx@sha256:0123", "invalid reference format"},
	{"nginx@sha256:" + sha256Hex[:62], "invalid reference format: invalid checksum digest length"},
	{"nginx@md5:" + sha256Hex[:32], "invalid reference format: unsupported digest algorithm"},
	{"nginx@" + sha256Ref + ":1", "invalid reference format"},
	{sha256Hex, "invalid reference format: invalid repository name (" + sha256Hex + "), cannot specify 64-byte hexadecimal strings"},
	{strings.Repeat("a/", 128) + "a:1", "invalid reference format: repository name must not be more than 255 characters"},
	{strings.Repeat("a.", 510) + "aa/x:1", "invalid reference format: longer than 1024 bytes"},
	{"nginx:" + strings.Repeat("1", 129), "invalid reference format"},
}

func TestParseRefusesInvalidReferences(t *testing.T) {
	for _, tt := range invalidReferences {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if !errors.Is(err, errInvalid) {
				t.Fatalf("Parse is %v, %v, want an errInvalid", got, err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// unusual are strings at the limits of parseCommon.
var unusual = []struct {
	in     string
	common bool // whether parseCommon parses it
}{
	// Path components and their separators.
	{"a", true},
	{"0", true},
	{"a.b", true},
	{"a_b", true},
	{"a__b", true},
	{"a-b--c---d", true},
	{"a___b", false},
	{"a____b", false},
	{"a..b", false},
	{"a._b", false},
	{"a_.b", false},
	{"a-_b", false},
	{"a_-b", false},
	{"a.-b", false},
	{"a-.b", false},
	{".a", false},
	{"a.", false},
	{"_a", false},
	{"a_", false},
	{"a__", false},
	{"__a", false},
	{"-a", false},
	{"a-", false},
	{"a/", false},
	{"/a", false},
	{"a//b", false},
	{"a/-b", false},
	{"a-/b", false},
	{"a/_b/c", false},
	{"a+b", false},
	{"\x10\x11", false}, // with the bit 0x20, they are the digits 0 and 1
	{"a\x00b", false},
	{"ä", false},
	{"a\n", false},
	{"\xff", false},
	// Registries.
	{"a.b/c", true},
	{"a.b", true},
	{"a.b:1", true},
	{"a--b.c/d", true},
	{"a_b/c", true},
	{"a_b.c/d", false},
	{"a__b:1/c", false},
	{"a-.b/c", false},
	{".b/c", false},
	{"a./c", false},
	{"10.0.0.1:5000/x", true},
	{"1.2/x", true},
	{"localhost/x", true},
	{"localhost", true},
	{"localhost:5000", true},
	{"localhost:5000/x", true},
	{"localhost/x/y:1", true},
	{"LOCALHOST/x", false},
	{"localhost_/x", false},
	{"host:/x", false},
	{":5000/x", false},
	{"host:5000/", false},
	{"host:5000:1/x", false},
	{"host:5000a/x", false},
	{"host:99999999/x", true},
	{"host:00/x:1", true},
	{"host:latest/x", false},
	{"nginx:1/x", true},
	{"nginx@" + sha256Ref + "/x", false},
	{"A/b", false},
	{"A.b/c", false},
	{"a.B/c", false},
	{"a.b/C", false},
	{"a/B", false},
	{"[::1]/x", false},
	{"[::1]:5000/x", false},
	{"::1/x", false},
	// Names of docker.io.
	{"docker.io/x", true},
	{"docker.io/x/y", true},
	{"docker.io/library/x", true},
	{"docker.io/docker.io/x", true},
	{"docker.io/", false},
	{"docker.io", true},
	{"index.docker.io", true},
	{"index.docker.io/x", true},
	{"index.docker.io/x/y:1", true},
	{"index.docker.io/", false},
	{"index.docker.io/index.docker.io/x", true},
	{"index.docker.io:443/x", true},
	{"docker.io:443/x", true},
	{"Docker.io/x", false},
	{"library/x", true},
	{"library", true},
	// Tags.
	{"a:B_c.D-e", true},
	{"a:_", true},
	{"a:0", true},
	{"a:-", false},
	{"a:.", false},
	{"a:", false},
	{":", false},
	{":a", false},
	{"a:b:c", false},
	{"a/b:c/d", false},
	{"a:b+c", false},
	{"a:\x11", false},
	{"a:é", false},
	{"a:" + strings.Repeat("b", 128), true},
	{"a:" + strings.Repeat("b", 129), false},
	// Digests.
	{"a@" + sha256Ref, true},
	{"a@" + sha512Ref, true},
	{"a.b/c:d@" + sha256Ref, true},
	{"a:@" + sha256Ref, false},
	{"a@", false},
	{"@", false},
	{"@" + sha256Ref, false},
	{"a@@" + sha256Ref, false},
	{"a@" + sha256Ref + "@" + sha256Ref, false},
	{"a@" + sha256Ref + "0", false},
	{"a@" + sha256Ref[:len(sha256Ref)-1], false},
	{"a@sha256:" + strings.ToUpper(sha256Hex), false},
	{"a@sha256:" + sha256Hex + sha256Hex, false},
	{"a@sha512:" + sha256Hex, false},
	{"a@sha384:" + sha256Hex + sha256Hex[:32], false},
	{"a@SHA256:" + sha256Hex, false},
	{"a@sha256", false},
	{"a@sha256:", false},
	{"a@" + sha256Hex, false},
	{"a@" + sha256Ref[:len(sha256Ref)-1] + "g", false},
	{sha256Ref, true}, // the image sha256 with a tag
	// 64 hexadecimal digits are the ID of an image, but only alone.
	{sha256Hex, false},
	{sha256Hex[1:], true},
	{sha256Hex + "0", true},
	{sha256Hex + ":1", true},
	{"docker.io/" + sha256Hex, true},
	{sha256Hex[1:] + "g", true},
	// The limit of a path includes library/, but not the registry.
	{strings.Repeat("a", 247), true},
	{strings.Repeat("a", 248), false},
	{"docker.io/" + strings.Repeat("a", 248), false},
	{"b/" + strings.Repeat("a", 253), true},
	{"b/" + strings.Repeat("a", 254), false},
	{"b.c/" + strings.Repeat("a", 255), true},
	{"b.c/" + strings.Repeat("a", 256), false},
	{strings.Repeat("a", 300) + ".b/c:d@" + sha512Ref, true},
}

func TestParseAgreesWithTheParser(t *testing.T) {
	for _, tt := range unusual {
		t.Run(tt.in, func(t *testing.T) {
			checkParse(t, tt.in)
			if _, ok := parseCommon(tt.in); ok != tt.common {
				t.Errorf("parseCommon parses it: %v, want %v", ok, tt.common)
			}
		})
	}
}

// checkParse compares the result of Parse with that of parseAny, which is slower.
func checkParse(t *testing.T, s string) {
	t.Helper()
	got, err := Parse(s)
	want, wantErr := parseAny(s)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse of %q (-parser +got):\n%s", s, diff)
	}
	if errorText(err) != errorText(wantErr) {
		t.Errorf("Parse of %q fails with %v, the parser with %v", s, err, wantErr)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range valid {
		f.Add(tt.in)
	}
	for _, tt := range invalidReferences {
		f.Add(tt.in)
	}
	for _, tt := range unusual {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if len(s) > maxLength {
			if err == nil {
				t.Errorf("read %d bytes as %q", len(s), got)
			}
			return
		}
		checkParse(t, s)
		want, wantErr := reference.ParseNormalizedNamed(s)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Parse fails with %v, the parser with %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if got.Written != s {
			t.Errorf("the written form of %q is %q", s, got.Written)
		}
		if short := got.familiar(); short != familiarByParsing(got) {
			t.Errorf("short form of %q: got %q, want %q", got, short, familiarByParsing(got))
		}
		if got.String() != want.String() {
			t.Errorf("Parse reads %q, the parser %q", got, want)
		}
		if !strings.HasSuffix(s, got.suffix()) {
			t.Errorf("%q does not end with its suffix %q", s, got.suffix())
		}
		if want := floatingTag(t, s); got.floatingTag() != want {
			t.Errorf("floatingTag of %q is %q, want %q", s, got.floatingTag(), want)
		}
	})
}

// floatingTag returns the tag that Docker would pull, according to its parser.
func floatingTag(t *testing.T, s string) string {
	t.Helper()
	named, err := reference.ParseDockerRef(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, pinned := named.(reference.Digested); pinned {
		return ""
	}
	return named.(reference.Tagged).Tag()
}

func TestShortFormMeansTheSameImage(t *testing.T) {
	tests := []struct{ in, want string }{
		{"docker.io/library/nginx:1.25", "nginx:1.25"},
		{"docker.io/library/nginx@" + sha256Ref, "nginx@" + sha256Ref},
		{"docker.io/bitnami/redis", "bitnami/redis"},
		{"quay.io/app:1", "quay.io/app:1"},
		// The short forms would be read as other references.
		{"docker.io/library/a/b:1", "docker.io/library/a/b:1"},
		{"docker.io/localhost/x:1", "docker.io/localhost/x:1"},
		{"docker.io/library/" + sha256Hex, "docker.io/library/" + sha256Hex},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.in).familiar(); got != tt.want {
			t.Errorf("short form of %s: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

// familiarByParsing is a slower implementation of familiar. It parses the short form to find
// out whether it means the same image.
func familiarByParsing(r Reference) string {
	full := r.String()
	short, ok := strings.CutPrefix(full, dockerHub+"/")
	if !ok {
		return full
	}
	short = strings.TrimPrefix(short, "library/")
	if again, err := Parse(short); err != nil || again.String() != full {
		return full
	}
	return short
}
