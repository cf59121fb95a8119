package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMirrors(t *testing.T) {
	tests := []struct {
		in   string // the flag
		want string // the same rules in the form that is never ambiguous
	}{
		{"", ""},
		{"  ", ""},
		// The article's own example.
		{"docker.mirror.example,registry.k8s.io:k8s.mirror.example", "docker.io=docker.mirror.example,registry.k8s.io=k8s.mirror.example"},
		{" docker.mirror.example , quay.io=q.example ", "docker.io=docker.mirror.example,quay.io=q.example"},
		{"mirror.example/hub", "docker.io=mirror.example/hub"},
		{"localhost/hub", "docker.io=localhost/hub"},
		{"docker.io=docker.mirror.example:5000", "docker.io=docker.mirror.example:5000"},
		{"docker.io=mirror:5000/hub/cache", "docker.io=mirror:5000/hub/cache"},
		{"host:5000=mirror.example", "host:5000=mirror.example"},
		{"registry.k8s.io:k8s.mirror.example/k8s", "registry.k8s.io=k8s.mirror.example/k8s"},
		{"registry.k8s.io:10.0.0.1", "registry.k8s.io=10.0.0.1"},
		{"localhost:mirror.example", "localhost=mirror.example"},
		{"[::1]:5000=[::2]:5000/hub", "[::1]:5000=[::2]:5000/hub"},
		{"FOO=BAR/hub", "FOO=BAR/hub"},
		{"index.docker.io=mirror.example", "docker.io=mirror.example"},
		{"registry-1.docker.io=mirror.example", "registry-1.docker.io=mirror.example"},
		{"quay.io=index.docker.io/quay", "quay.io=docker.io/quay"},
		// Two registries may share a mirror.
		{"docker.io=m.example/hub,quay.io=m.example/quay", "docker.io=m.example/hub,quay.io=m.example/quay"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			m, err := ParseMirrors(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, m.String()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			again, err := ParseMirrors(m.String())
			if err != nil || again.String() != m.String() {
				t.Errorf("read again as %q, %v", again, err)
			}
		})
	}
}

func TestParseMirrorsRefuses(t *testing.T) {
	const (
		form     = "write REGISTRY=HOST[:PORT][/PATH]"
		registry = form + "; a registry is HOST[:PORT] with a dot or a port, or localhost"
		path     = form + "; a path is lower-case components after single slashes"
	)
	tests := []struct{ in, want string }{
		{"quay.io=a.example,QUAY.IO:443=b.example", `mirror rules "quay.io=a.example" and "QUAY.IO:443=b.example" both rewrite QUAY.IO:443: keep one of them`},
		// A colon that could as well stand before a port.
		{"docker.mirror.example:5000", `mirror rule "docker.mirror.example:5000" can be read in two ways: write docker.io=docker.mirror.example:5000`},
		{"docker.mirror.example:5000/hub", `mirror rule "docker.mirror.example:5000/hub" can be read in two ways: write docker.io=docker.mirror.example:5000/hub`},
		{"host:5000:mirror.example", `mirror rule "host:5000:mirror.example" can be read in two ways: write host:5000=mirror.example`},
		{"host:5000:mirror", `mirror rule "host:5000:mirror" can be read in two ways: ` + form},
		{"quay.io:m.example:5000", `mirror rule "quay.io:m.example:5000" can be read in two ways: write quay.io=m.example:5000`},
		{"quay.io:5000:m.example:5000", `mirror rule "quay.io:5000:m.example:5000" can be read in two ways: write quay.io:5000=m.example:5000`},
		{"mirror.example/hub:5000", `mirror rule "mirror.example/hub:5000" can be read in two ways: ` + form},
		{"[::1]:5000", `mirror rule "[::1]:5000" can be read in two ways: write docker.io=[::1]:5000`},
		{"https://mirror.example", `mirror rule "https://mirror.example" has a scheme: ` + form + ` without it`},
		// Empty items.
		{"a.example,,quay.io=b.example", `mirror rule 2 of "a.example,,quay.io=b.example" is empty: remove the spare comma`},
		{"a.example,", `mirror rule 2 of "a.example," is empty: remove the spare comma`},
		// Sides that are no registry.
		{"foo=bar", `mirror rule "foo=bar" rewrites "foo", which is no registry: ` + registry},
		{"foo:mirror.example", `mirror rule "foo:mirror.example" rewrites "foo", which is no registry: ` + registry},
		{"library=mirror.example", `mirror rule "library=mirror.example" rewrites "library", which is no registry: ` + registry},
		{"=mirror.example", `mirror rule "=mirror.example" rewrites "", which is no registry: ` + registry},
		{"quay.io/foo=mirror.example", `mirror rule "quay.io/foo=mirror.example" rewrites "quay.io/foo", which is no registry: ` + registry},
		{"quay.io/x/x=mirror.example", `mirror rule "quay.io/x/x=mirror.example" rewrites "quay.io/x/x", which is no registry: ` + registry},
		{"quay_io.x=mirror.example", `mirror rule "quay_io.x=mirror.example" rewrites "quay_io.x", which is no registry: ` + registry},
		{"mirror", `mirror rule "mirror" leads to "mirror", which is on no registry: ` + registry},
		{"quay.io=mirror/hub", `mirror rule "quay.io=mirror/hub" leads to "mirror/hub", which is on no registry: ` + registry},
		{"quay.io=", `mirror rule "quay.io=" leads to "", which is on no registry: ` + registry},
		{"quay.io:", `mirror rule "quay.io:" leads to "", which is on no registry: ` + registry},
		{"quay.io=m.example:port", `mirror rule "quay.io=m.example:port" leads to "m.example:port", which is on no registry: ` + registry},
		{"a.example=b.example=c.example", `mirror rule "a.example=b.example=c.example" leads to "b.example=c.example", which is on no registry: ` + registry},
		{"quay.io = m.example", `mirror rule "quay.io = m.example" rewrites "quay.io ", which is no registry: ` + registry},
		// Paths that no reference can have.
		{"mirror.example/", `mirror rule "mirror.example/" has an unreadable path "/": ` + path},
		{"mirror.example//hub", `mirror rule "mirror.example//hub" has an unreadable path "//hub": ` + path},
		{"mirror.example/Hub", `mirror rule "mirror.example/Hub" has an unreadable path "/Hub": ` + path},
		{"quay.io=m.example/hub:1", `mirror rule "quay.io=m.example/hub:1" has an unreadable path "/hub:1": ` + path},
		// Rules that do not converge.
		{"a.example,docker.io=b.example", `mirror rules "docker.io=a.example" and "docker.io=b.example" both rewrite docker.io: keep one of them`},
		{"index.docker.io=a.example,a.example", `mirror rules "docker.io=a.example" and "docker.io=a.example" both rewrite docker.io: keep one of them`},
		{"quay.io=quay.io/cache", `mirror rule "quay.io=quay.io/cache" leads to quay.io, which rule "quay.io=quay.io/cache" rewrites again: a mirror must not be on a rewritten registry`},
		{"a.example=b.example,b.example=c.example", `mirror rule "a.example=b.example" leads to b.example, which rule "b.example=c.example" rewrites again: a mirror must not be on a rewritten registry`},
		{"b.example=index.docker.io/b,m.example", `mirror rule "b.example=docker.io/b" leads to docker.io, which rule "docker.io=m.example" rewrites again: a mirror must not be on a rewritten registry`},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			m, err := ParseMirrors(tt.in)
			if err == nil {
				t.Fatalf("accepted as %q", m)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if m.String() != "" {
				t.Errorf("rules %q beside the error", m)
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	const article = "docker.mirror.example,registry.k8s.io:k8s.mirror.example"
	tests := []struct {
		rules string
		in    string
		want  string // empty: not rewritten
	}{
		{article, "nginx", "docker.mirror.example/library/nginx"},
		{article, "nginx:1.25", "docker.mirror.example/library/nginx:1.25"},
		{article, "library/nginx:1.25", "docker.mirror.example/library/nginx:1.25"},
		{article, "docker.io/nginx:1", "docker.mirror.example/library/nginx:1"},
		{article, "docker.io/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{article, "index.docker.io/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{article, "bitnami/redis:7", "docker.mirror.example/bitnami/redis:7"},
		{article, "a/b/c/d:1", "docker.mirror.example/a/b/c/d:1"},
		{article, "registry.k8s.io/pause:3.10", "k8s.mirror.example/pause:3.10"},
		{article, "registry.k8s.io/ingress/controller:v1", "k8s.mirror.example/ingress/controller:v1"},
		{article, "nginx@" + sha256Ref, "docker.mirror.example/library/nginx@" + sha256Ref},
		{article, "nginx:1.25@" + sha512Ref, "docker.mirror.example/library/nginx:1.25@" + sha512Ref},
		// Other spellings of a registry do not get around its rule.
		{article, "docker.io:443/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{article, "Docker.io/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{article, "REGISTRY.K8S.IO/pause:3.10", "k8s.mirror.example/pause:3.10"},
		{article, "registry.k8s.io:443/pause:3.10", "k8s.mirror.example/pause:3.10"},
		{"Quay.io:443=mirror.example", "quay.io/app:1", "mirror.example/app:1"},
		{article, "registry.k8s.io:5000/pause:3.10", ""},
		// Registries without a rule, and names that only look like docker.io.
		{article, "registry-1.docker.io/library/nginx:1", ""},
		{article, "quay.io/x:1", ""},
		{article, "ghcr.io/x:1", ""},
		{article, "localhost/x:1", ""},
		{article, "host:5000/x:1", ""},
		{article, "docker.mirror.example/library/nginx:1", ""},
		{article, "k8s.mirror.example/pause:3.10", ""},
		// What no runtime can read stays as it is.
		{article, "", ""},
		{article, "nginx:", ""},
		{article, " nginx:1", ""},
		{article, "https://docker.io/nginx:1", ""},
		{article, "Nginx:1", ""},
		// No rules.
		{"", "docker.io/library/nginx:1", ""},
		// Ports and paths.
		{"docker.io=m:5000/hub", "nginx:1", "m:5000/hub/library/nginx:1"},
		{"host:5000=m.example/host", "host:5000/x:1", "m.example/host/x:1"},
		{"host:5000=m.example/host", "host/x:1", ""},
		// A path that grows past the limit of 255 bytes.
		{"m.example/hub", strings.Repeat("a", 255) + ":1", ""},
		{"m.example/hub", "x/" + strings.Repeat("a", 249) + ":1", "m.example/hub/x/" + strings.Repeat("a", 249) + ":1"},
		// On docker.io a single component would be read as library/etcd.
		{"quay.io=docker.io", "quay.io/etcd:1", ""},
		{"quay.io=docker.io", "quay.io/coreos/etcd:1", "docker.io/coreos/etcd:1"},
	}
	for _, tt := range tests {
		t.Run(tt.rules+" "+tt.in, func(t *testing.T) {
			m, err := ParseMirrors(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			want, wantOK := tt.want, tt.want != ""
			if !wantOK {
				want = tt.in
			}
			if got, ok := m.Rewrite(tt.in); got != want || ok != wantOK {
				t.Errorf("rewritten to %q, %v, want %q, %v", got, ok, want, wantOK)
			}
		})
	}
}

func FuzzRewrite(f *testing.F) {
	for _, rules := range []string{"docker.mirror.example", "docker.io=m:5000/hub,quay.io=docker.mirror.example", "quay.io=docker.io", "a.b:c.d,c.d:a.b"} {
		for _, tt := range valid {
			f.Add(rules, tt.in)
		}
	}
	f.Fuzz(func(t *testing.T, rules, s string) {
		m, err := ParseMirrors(rules)
		if err != nil {
			return
		}
		once, ok := m.Rewrite(s)
		if ok == (once == s) {
			t.Errorf("rewritten to %q, %v", once, ok)
		}
		if twice, again := m.Rewrite(once); again {
			t.Errorf("rewritten to %q and then to %q", once, twice)
		}
		if ok {
			checkRewritten(t, s, once)
		}
	})
}

// checkRewritten holds a rewritten reference against the original.
func checkRewritten(t *testing.T, from, to string) {
	t.Helper()
	before, err := Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if after.String() != to {
		t.Errorf("%q means %q", to, after)
	}
	if after.Suffix() != before.Suffix() {
		t.Errorf("tag and digest %q became %q", before.Suffix(), after.Suffix())
	}
	if !strings.HasSuffix("/"+after.Path, "/"+before.Path) {
		t.Errorf("path %q became %q", before.Path, after.Path)
	}
}
