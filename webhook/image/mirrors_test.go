package image

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMirrorsAcceptsEveryForm(t *testing.T) {
	tests := []struct {
		in   string // the flag
		want string // the same rules in the unambiguous form
	}{
		{"", ""},
		{"  ", ""},
		// The example of deploy/04-webhook.yaml.
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
		// Paths, exclusions and the wildcard.
		{"quay.io/team=m.example/team", "quay.io/team=m.example/team"},
		{"quay.io/team:m.example/team", "quay.io/team=m.example/team"},
		{"index.docker.io/library/nginx=m.example/nginx", "docker.io/library/nginx=m.example/nginx"},
		{"host:5000/a/b=m.example", "host:5000/a/b=m.example"},
		{"quay.io=", "quay.io="},
		{"quay.io:", "quay.io="},
		{"quay.io/team=,quay.io=m.example", "quay.io/team=,quay.io=m.example"},
		{"*=m.example/all", "*=m.example/all"},
		{"*:m.example", "*=m.example"},
		{"*=,docker.io=m.example", "*=,docker.io=m.example"},
		// On one registry, if the rules do not overlap.
		{"quay.io/a=quay.io/b", "quay.io/a=quay.io/b"},
		{"quay.io=quay.io/cache,quay.io/cache=", "quay.io=quay.io/cache,quay.io/cache="},
		{"a.example=b.example/a,b.example/a=,b.example=a.example/b,a.example/b=", "a.example=b.example/a,b.example/a=,b.example=a.example/b,a.example/b="},
		{"*=m.example/all,m.example/old=m.example/new", "*=m.example/all,m.example/old=m.example/new"},
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

func TestParseMirrorsRefusesInvalidRules(t *testing.T) {
	const (
		form     = "use REGISTRY[/PATH]=HOST[:PORT][/PATH]"
		registry = form + "; a registry is HOST[:PORT] with a dot or a port, or localhost"
		path     = form + "; a path is lower-case components separated by single slashes, without tag and digest"
		remedy   = "remove one of the rules or choose another mirror"
	)
	tests := []struct{ in, want string }{
		// A colon that could also precede a port.
		{"docker.mirror.example:5000", `mirror rule "docker.mirror.example:5000" is ambiguous, because the colon could precede a port: use docker.io=docker.mirror.example:5000`},
		{"docker.mirror.example:5000/hub", `mirror rule "docker.mirror.example:5000/hub" is ambiguous, because the colon could precede a port: use docker.io=docker.mirror.example:5000/hub`},
		{"host:5000:mirror.example", `mirror rule "host:5000:mirror.example" is ambiguous, because the colon could precede a port: use host:5000=mirror.example`},
		{"host:5000:", `mirror rule "host:5000:" is ambiguous, because the colon could precede a port: ` + form},
		{"host:5000:mirror", `mirror rule "host:5000:mirror" is ambiguous, because the colon could precede a port: ` + form},
		{"quay.io:m.example:5000", `mirror rule "quay.io:m.example:5000" is ambiguous, because the colon could precede a port: use quay.io=m.example:5000`},
		{"quay.io:5000:m.example:5000", `mirror rule "quay.io:5000:m.example:5000" is ambiguous, because the colon could precede a port: use quay.io:5000=m.example:5000`},
		{"quay.io/team:m.example:5000", `mirror rule "quay.io/team:m.example:5000" is ambiguous, because the colon could precede a port: use quay.io/team=m.example:5000`},
		{"*:5000", `mirror rule "*:5000" is ambiguous, because the colon could precede a port: ` + form},
		{"mirror.example/hub:5000", `mirror rule "mirror.example/hub:5000" is ambiguous, because the colon could precede a port: ` + form},
		{"[::1]:5000", `mirror rule "[::1]:5000" is ambiguous, because the colon could precede a port: use docker.io=[::1]:5000`},
		{"https://mirror.example", `mirror rule "https://mirror.example" has a scheme: ` + form + ` without it`},
		// Empty items.
		{"a.example,,quay.io=b.example", `mirror rule 2 of "a.example,,quay.io=b.example" is empty: remove the spare comma`},
		{"a.example,", `mirror rule 2 of "a.example," is empty: remove the spare comma`},
		// Sides without a registry.
		{"foo=bar", `mirror rule "foo=bar" rewrites "foo", which has no registry: ` + registry},
		{"foo:mirror.example", `mirror rule "foo:mirror.example" rewrites "foo", which has no registry: ` + registry},
		{"library/nginx=mirror.example", `mirror rule "library/nginx=mirror.example" rewrites "library/nginx", which has no registry: ` + registry},
		{"=mirror.example", `mirror rule "=mirror.example" rewrites "", which has no registry: ` + registry},
		{"=", `mirror rule "=" rewrites "", which has no registry: ` + registry},
		{"quay_io.x=mirror.example", `mirror rule "quay_io.x=mirror.example" rewrites "quay_io.x", which has no registry: ` + registry},
		{"*.quay.io=mirror.example", `mirror rule "*.quay.io=mirror.example" rewrites "*.quay.io", which has no registry: ` + registry},
		{"*/team=mirror.example", `mirror rule "*/team=mirror.example" rewrites "*/team", which has no registry: ` + registry},
		{"mirror", `mirror rule "mirror" sends images to "mirror", which has no registry: ` + registry},
		{"quay.io=mirror/hub", `mirror rule "quay.io=mirror/hub" sends images to "mirror/hub", which has no registry: ` + registry},
		{"quay.io=*", `mirror rule "quay.io=*" sends images to "*", which has no registry: ` + registry},
		{"quay.io=m.example:port", `mirror rule "quay.io=m.example:port" sends images to "m.example:port", which has no registry: ` + registry},
		{"a.example=b.example=c.example", `mirror rule "a.example=b.example=c.example" sends images to "b.example=c.example", which has no registry: ` + registry},
		{"quay.io = m.example", `mirror rule "quay.io = m.example" rewrites "quay.io ", which has no registry: ` + registry},
		// A pasted image, and invalid ports.
		{"docker.io/library/nginx:1.25", `mirror rule "docker.io/library/nginx:1.25" sends images to "1.25", which has no registry: ` + registry},
		{"quay.io/nginx:v1.25", `mirror rule "quay.io/nginx:v1.25" sends images to "v1.25", which has no registry: ` + registry},
		{"quay.io=1.2.3.4.5", `mirror rule "quay.io=1.2.3.4.5" sends images to "1.2.3.4.5", which has no registry: ` + registry},
		{"quay.io=m.example:99999", `mirror rule "quay.io=m.example:99999" sends images to "m.example:99999", which has no registry: ` + registry},
		{"quay.io=m.example:0", `mirror rule "quay.io=m.example:0" sends images to "m.example:0", which has no registry: ` + registry},
		// Invalid paths.
		{"mirror.example/", `mirror rule "mirror.example/" sends images to "mirror.example/", which has an invalid path: ` + path},
		{"mirror.example//hub", `mirror rule "mirror.example//hub" sends images to "mirror.example//hub", which has an invalid path: ` + path},
		{"mirror.example/Hub", `mirror rule "mirror.example/Hub" sends images to "mirror.example/Hub", which has an invalid path: ` + path},
		{"quay.io=m.example/hub:1", `mirror rule "quay.io=m.example/hub:1" sends images to "m.example/hub:1", which has an invalid path: ` + path},
		{"quay.io/=m.example", `mirror rule "quay.io/=m.example" rewrites "quay.io/", which has an invalid path: ` + path},
		{"quay.io/Team=m.example", `mirror rule "quay.io/Team=m.example" rewrites "quay.io/Team", which has an invalid path: ` + path},
		{"quay.io/app:v1=m.example", `mirror rule "quay.io/app:v1=m.example" rewrites "quay.io/app:v1", which has an invalid path: ` + path},
		{"quay.io/*=m.example", `mirror rule "quay.io/*=m.example" rewrites "quay.io/*", which has an invalid path: ` + path},
		// Two rules for the same pattern.
		{"a.example,docker.io=b.example", `mirror rules "docker.io=a.example" and "docker.io=b.example" are both for docker.io: keep one of them`},
		{"index.docker.io=a.example,a.example", `mirror rules "docker.io=a.example" and "docker.io=a.example" are both for docker.io: keep one of them`},
		{"quay.io=a.example,QUAY.IO:443=b.example", `mirror rules "quay.io=a.example" and "QUAY.IO:443=b.example" are both for QUAY.IO:443: keep one of them`},
		{"docker.io=a.example,INDEX.docker.io:0443=b.example", `mirror rules "docker.io=a.example" and "INDEX.docker.io:0443=b.example" are both for INDEX.docker.io:0443: keep one of them`},
		{"quay.io/a=,quay.io/a=b.example", `mirror rules "quay.io/a=" and "quay.io/a=b.example" are both for quay.io/a: keep one of them`},
		{"*=a.example,*=b.example", `mirror rules "*=a.example" and "*=b.example" are both for *: keep one of them`},
		// Rules that do not converge.
		{"quay.io=quay.io", `mirror rule "quay.io=quay.io" sends images to where they are: use "quay.io=", with an empty mirror, to leave them unchanged`},
		{"quay.io/a=Quay.io:443/a", `mirror rule "quay.io/a=Quay.io:443/a" sends images to where they are: use "quay.io/a=", with an empty mirror, to leave them unchanged`},
		{"quay.io=quay.io/cache", `mirror rule "quay.io=quay.io/cache" sends images to quay.io/cache, which rule "quay.io=quay.io/cache" rewrites again: choose another mirror, or add the rule "quay.io/cache=", with an empty mirror, to leave its images unchanged`},
		{"quay.io/a=quay.io/a/b", `mirror rule "quay.io/a=quay.io/a/b" sends images to quay.io/a/b, which rule "quay.io/a=quay.io/a/b" rewrites again: choose another mirror, or add the rule "quay.io/a/b=", with an empty mirror, to leave its images unchanged`},
		{"a.example=b.example,b.example=c.example", `mirror rule "a.example=b.example" sends images to b.example, which rule "b.example=c.example" rewrites again: ` + remedy},
		{"a.example=b.example,b.example=a.example", `mirror rule "a.example=b.example" sends images to b.example, which rule "b.example=a.example" rewrites again: ` + remedy},
		{"a.example=b.example/a,b.example=c.example", `mirror rule "a.example=b.example/a" sends images to b.example/a, which rule "b.example=c.example" rewrites again: choose another mirror, or add the rule "b.example/a=", with an empty mirror, to leave its images unchanged`},
		{"b.example=index.docker.io/b,m.example", `mirror rule "b.example=docker.io/b" sends images to docker.io/b, which rule "docker.io=m.example" rewrites again: choose another mirror, or add the rule "docker.io/b=", with an empty mirror, to leave its images unchanged`},
		{"a.example=B.EXAMPLE:443,b.example=c.example", `mirror rule "a.example=B.EXAMPLE:443" sends images to B.EXAMPLE:443, which rule "b.example=c.example" rewrites again: ` + remedy},
		{"quay.io=m.example,m.example/old=m.example/new", `mirror rule "quay.io=m.example" sends images to m.example, and rule "m.example/old=m.example/new" rewrites images below it again: ` + remedy},
		{"*=m.example,m.example=,m.example/old=m.example/new", `mirror rule "*=m.example" sends images to m.example, and rule "m.example/old=m.example/new" rewrites images below it again: ` + remedy},
		{"quay.io/a/b=quay.io/a", `mirror rule "quay.io/a/b=quay.io/a" sends images to quay.io/a, and rule "quay.io/a/b=quay.io/a" rewrites images below it again: ` + remedy},
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

func TestCanonicalHasOneSpelling(t *testing.T) {
	m, err := ParseMirrors("index.docker.io/library=M.example:0443/hub,QUAY.IO:08443=docker.io/quay,ghcr.io=,*=n.example")
	if err != nil {
		t.Fatal(err)
	}
	want := []Mirror{{"docker.io/library", "m.example/hub"}, {"quay.io:8443", "docker.io/quay"}, {"ghcr.io", ""}, {"*", "n.example"}}
	if diff := cmp.Diff(want, m.Canonical()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}
