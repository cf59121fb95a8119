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

// valid are references that the kubelet can read.
var valid = []struct {
	in       string    // as written in a pod
	want     Reference // normalised
	floating string    // the tag that decides which image is pulled
	mirrored string    // by the example's rules; empty: left as it is
}{
	// Docker Hub has two names, one of them for images without a registry, and
	// official images under library/.
	{"nginx", Reference{"docker.io", "library/nginx", "", ""}, "latest", "docker.mirror.example/library/nginx"},
	{"nginx:1.25", Reference{"docker.io", "library/nginx", "1.25", ""}, "1.25", "docker.mirror.example/library/nginx:1.25"},
	{"library/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, "1", "docker.mirror.example/library/nginx:1"},
	{"docker.io/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, "1", "docker.mirror.example/library/nginx:1"},
	{"docker.io/library/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, "1", "docker.mirror.example/library/nginx:1"},
	{"index.docker.io/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, "1", "docker.mirror.example/library/nginx:1"},
	{"index.docker.io/library/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, "1", "docker.mirror.example/library/nginx:1"},
	{"bitnami/redis:7", Reference{"docker.io", "bitnami/redis", "7", ""}, "7", "docker.mirror.example/bitnami/redis:7"},
	{"a/b/c/d:1", Reference{"docker.io", "a/b/c/d", "1", ""}, "1", "docker.mirror.example/a/b/c/d:1"},
	{"latest", Reference{"docker.io", "library/latest", "", ""}, "latest", "docker.mirror.example/library/latest"},
	{"registry-1.docker.io/nginx:1", Reference{"registry-1.docker.io", "nginx", "1", ""}, "1", ""},
	// The first component is a registry if it has a dot, a colon or an upper-case
	// letter, or is localhost.
	{"registry.k8s.io/pause:3.10", Reference{"registry.k8s.io", "pause", "3.10", ""}, "3.10", "k8s.mirror.example/pause:3.10"},
	{"registry.k8s.io/ingress/controller:v1", Reference{"registry.k8s.io", "ingress/controller", "v1", ""}, "v1", "k8s.mirror.example/ingress/controller:v1"},
	{"quay.io/x", Reference{"quay.io", "x", "", ""}, "latest", ""},
	{"ghcr.io/x/y:latest", Reference{"ghcr.io", "x/y", "latest", ""}, "latest", ""},
	{"localhost/x:1", Reference{"localhost", "x", "1", ""}, "1", ""},
	{"host:5000/x:1", Reference{"host:5000", "x", "1", ""}, "1", ""},
	{"registry:5000/app", Reference{"registry:5000", "app", "", ""}, "latest", ""},
	{"FOO/x:1", Reference{"FOO", "x", "1", ""}, "1", ""},
	{"[::1]:5000/x:1", Reference{"[::1]:5000", "x", "1", ""}, "1", ""},
	{strings.Repeat("a.", 510) + "a/x", Reference{strings.Repeat("a.", 510) + "a", "x", "", ""}, "latest", ""},
	// No registry by the grammar, but a runtime would ask this host.
	{"quay_x.io/app/web:1", Reference{"quay_x.io", "app/web", "1", ""}, "1", ""},
	// Without a slash this is a tag and not a port.
	{"registry:5000", Reference{"docker.io", "library/registry", "5000", ""}, "5000", "docker.mirror.example/library/registry:5000"},
	// Tags are case-sensitive, and only look like latest.
	{"nginx:latest", Reference{"docker.io", "library/nginx", "latest", ""}, "latest", "docker.mirror.example/library/nginx:latest"},
	{"nginx:LATEST", Reference{"docker.io", "library/nginx", "LATEST", ""}, "LATEST", "docker.mirror.example/library/nginx:LATEST"},
	{"nginx:latest-alpine", Reference{"docker.io", "library/nginx", "latest-alpine", ""}, "latest-alpine", "docker.mirror.example/library/nginx:latest-alpine"},
	// A digest pins, whatever the tag; both are kept byte for byte.
	{"nginx@" + sha256Ref, Reference{"docker.io", "library/nginx", "", sha256Ref}, "", "docker.mirror.example/library/nginx@" + sha256Ref},
	{"nginx@" + sha512Ref, Reference{"docker.io", "library/nginx", "", sha512Ref}, "", "docker.mirror.example/library/nginx@" + sha512Ref},
	{"nginx:1.25@" + sha512Ref, Reference{"docker.io", "library/nginx", "1.25", sha512Ref}, "", "docker.mirror.example/library/nginx:1.25@" + sha512Ref},
	{"nginx:latest@" + sha256Ref, Reference{"docker.io", "library/nginx", "latest", sha256Ref}, "", "docker.mirror.example/library/nginx:latest@" + sha256Ref},
}

func TestParse(t *testing.T) {
	for _, tt := range valid {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if got.FloatingTag() != tt.floating {
				t.Errorf("FloatingTag is %q, want %q", got.FloatingTag(), tt.floating)
			}
			if !strings.HasSuffix(tt.in, got.Suffix()) {
				t.Errorf("%q does not end with its suffix %q", tt.in, got.Suffix())
			}
			checkRewrite(t, exampleRules, tt.in, tt.mirrored)
		})
	}
}

// unreadable are strings that are no references, and the error of Parse.
var unreadable = []struct{ in, want string }{
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

func TestParseInvalid(t *testing.T) {
	for _, tt := range unreadable {
		t.Run(tt.in, func(t *testing.T) {
			got, err := Parse(tt.in)
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("Parse is %v, %v, want an ErrInvalid", got, err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			checkRewrite(t, exampleRules, tt.in, "")
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range valid {
		f.Add(tt.in)
	}
	for _, tt := range unreadable {
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
		want, wantErr := reference.ParseNormalizedNamed(s)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Parse fails with %v, the parser with %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if got.String() != want.String() {
			t.Errorf("Parse reads %q, the parser %q", got, want)
		}
		if !strings.HasSuffix(s, got.Suffix()) {
			t.Errorf("%q does not end with its suffix %q", s, got.Suffix())
		}
		if want := floatingTag(t, s); got.FloatingTag() != want {
			t.Errorf("FloatingTag of %q is %q, want %q", s, got.FloatingTag(), want)
		}
	})
}

// floatingTag asks the parser what Docker would pull.
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

func TestFamiliar(t *testing.T) {
	tests := []struct{ in, want string }{
		{"docker.io/library/nginx:1.25", "nginx:1.25"},
		{"docker.io/library/nginx@" + sha256Ref, "nginx@" + sha256Ref},
		{"docker.io/bitnami/redis", "bitnami/redis"},
		{"quay.io/app:1", "quay.io/app:1"},
		// Without what is left out these would be other references.
		{"docker.io/library/a/b:1", "docker.io/library/a/b:1"},
		{"docker.io/localhost/x:1", "docker.io/localhost/x:1"},
		{"docker.io/library/" + sha256Hex, "docker.io/library/" + sha256Hex},
	}
	for _, tt := range tests {
		if got := familiar(tt.in); got != tt.want {
			t.Errorf("%s is familiar as %s, want %s", tt.in, got, tt.want)
		}
	}
}
