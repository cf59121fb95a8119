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

// valid are references that the kubelet can read.
var valid = []struct {
	in     string    // as written in a pod
	want   Reference // normalised
	latest bool      // whether it means the tag latest
}{
	{"nginx", Reference{"docker.io", "library/nginx", "", ""}, true},
	{"nginx:latest", Reference{"docker.io", "library/nginx", "latest", ""}, true},
	{"nginx:1.25", Reference{"docker.io", "library/nginx", "1.25", ""}, false},
	{"nginx:LATEST", Reference{"docker.io", "library/nginx", "LATEST", ""}, false},
	{"nginx:latest-alpine", Reference{"docker.io", "library/nginx", "latest-alpine", ""}, false},
	{"nginx@" + sha256Ref, Reference{"docker.io", "library/nginx", "", sha256Ref}, false},
	{"nginx@" + sha512Ref, Reference{"docker.io", "library/nginx", "", sha512Ref}, false},
	{"nginx:latest@" + sha256Ref, Reference{"docker.io", "library/nginx", "latest", sha256Ref}, false},
	{"library/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, false},
	{"docker.io/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, false},
	{"docker.io/library/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, false},
	{"index.docker.io/nginx:1", Reference{"docker.io", "library/nginx", "1", ""}, false},
	{"registry-1.docker.io/nginx:1", Reference{"registry-1.docker.io", "nginx", "1", ""}, false},
	{"bitnami/redis:7", Reference{"docker.io", "bitnami/redis", "7", ""}, false},
	{"a/b/c/d:1", Reference{"docker.io", "a/b/c/d", "1", ""}, false},
	{"latest", Reference{"docker.io", "library/latest", "", ""}, true},
	{"registry.k8s.io/pause:3.10", Reference{"registry.k8s.io", "pause", "3.10", ""}, false},
	{"quay.io/x", Reference{"quay.io", "x", "", ""}, true},
	{"ghcr.io/x/y:latest", Reference{"ghcr.io", "x/y", "latest", ""}, true},
	{"localhost/x:1", Reference{"localhost", "x", "1", ""}, false},
	{"host:5000/x:1", Reference{"host:5000", "x", "1", ""}, false},
	{"registry:5000/app", Reference{"registry:5000", "app", "", ""}, true},
	{"FOO/x:1", Reference{"FOO", "x", "1", ""}, false},
	{"[::1]:5000/x:1", Reference{"[::1]:5000", "x", "1", ""}, false},
	{strings.Repeat("a.", 510) + "a/x", Reference{strings.Repeat("a.", 510) + "a", "x", "", ""}, true},
	// Without a slash this is a tag and not a port.
	{"registry:5000", Reference{"docker.io", "library/registry", "5000", ""}, false},
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
			if got.Latest() != tt.latest {
				t.Errorf("Latest is %v, want %v", got.Latest(), tt.latest)
			}
			if !strings.HasSuffix(tt.in, got.Suffix()) {
				t.Errorf("%q does not end with its suffix %q", tt.in, got.Suffix())
			}
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
		if got.Latest() != isLatest(t, s) {
			t.Errorf("Latest of %q is %v", s, got.Latest())
		}
	})
}

// isLatest asks the parser what Docker would pull.
func isLatest(t *testing.T, s string) bool {
	t.Helper()
	named, err := reference.ParseDockerRef(s)
	if err != nil {
		t.Fatal(err)
	}
	tagged, ok := named.(reference.Tagged)
	return ok && tagged.Tag() == "latest"
}
