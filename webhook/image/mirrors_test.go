package image

import (
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
		// On one registry, as long as the rules do not meet.
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

func TestParseMirrorsRefuses(t *testing.T) {
	const (
		form     = "write REGISTRY[/PATH]=HOST[:PORT][/PATH]"
		registry = form + "; a registry is HOST[:PORT] with a dot or a port, or localhost"
		path     = form + "; a path is lower-case components after single slashes, without tag or digest"
		mend     = "remove one of them or choose another mirror"
	)
	tests := []struct{ in, want string }{
		// A colon that could as well stand before a port.
		{"docker.mirror.example:5000", `mirror rule "docker.mirror.example:5000" is ambiguous, the colon may stand before a port: write docker.io=docker.mirror.example:5000`},
		{"docker.mirror.example:5000/hub", `mirror rule "docker.mirror.example:5000/hub" is ambiguous, the colon may stand before a port: write docker.io=docker.mirror.example:5000/hub`},
		{"host:5000:mirror.example", `mirror rule "host:5000:mirror.example" is ambiguous, the colon may stand before a port: write host:5000=mirror.example`},
		{"host:5000:", `mirror rule "host:5000:" is ambiguous, the colon may stand before a port: ` + form},
		{"host:5000:mirror", `mirror rule "host:5000:mirror" is ambiguous, the colon may stand before a port: ` + form},
		{"quay.io:m.example:5000", `mirror rule "quay.io:m.example:5000" is ambiguous, the colon may stand before a port: write quay.io=m.example:5000`},
		{"quay.io:5000:m.example:5000", `mirror rule "quay.io:5000:m.example:5000" is ambiguous, the colon may stand before a port: write quay.io:5000=m.example:5000`},
		{"quay.io/team:m.example:5000", `mirror rule "quay.io/team:m.example:5000" is ambiguous, the colon may stand before a port: write quay.io/team=m.example:5000`},
		{"*:5000", `mirror rule "*:5000" is ambiguous, the colon may stand before a port: ` + form},
		{"mirror.example/hub:5000", `mirror rule "mirror.example/hub:5000" is ambiguous, the colon may stand before a port: ` + form},
		{"[::1]:5000", `mirror rule "[::1]:5000" is ambiguous, the colon may stand before a port: write docker.io=[::1]:5000`},
		{"https://mirror.example", `mirror rule "https://mirror.example" has a scheme: ` + form + ` without it`},
		// Empty items.
		{"a.example,,quay.io=b.example", `mirror rule 2 of "a.example,,quay.io=b.example" is empty: remove the spare comma`},
		{"a.example,", `mirror rule 2 of "a.example," is empty: remove the spare comma`},
		// Sides that are no registry.
		{"foo=bar", `mirror rule "foo=bar" rewrites "foo", which is on no registry: ` + registry},
		{"foo:mirror.example", `mirror rule "foo:mirror.example" rewrites "foo", which is on no registry: ` + registry},
		{"library/nginx=mirror.example", `mirror rule "library/nginx=mirror.example" rewrites "library/nginx", which is on no registry: ` + registry},
		{"=mirror.example", `mirror rule "=mirror.example" rewrites "", which is on no registry: ` + registry},
		{"=", `mirror rule "=" rewrites "", which is on no registry: ` + registry},
		{"quay_io.x=mirror.example", `mirror rule "quay_io.x=mirror.example" rewrites "quay_io.x", which is on no registry: ` + registry},
		{"*.quay.io=mirror.example", `mirror rule "*.quay.io=mirror.example" rewrites "*.quay.io", which is on no registry: ` + registry},
		{"*/team=mirror.example", `mirror rule "*/team=mirror.example" rewrites "*/team", which is on no registry: ` + registry},
		{"mirror", `mirror rule "mirror" leads to "mirror", which is on no registry: ` + registry},
		{"quay.io=mirror/hub", `mirror rule "quay.io=mirror/hub" leads to "mirror/hub", which is on no registry: ` + registry},
		{"quay.io=*", `mirror rule "quay.io=*" leads to "*", which is on no registry: ` + registry},
		{"quay.io=m.example:port", `mirror rule "quay.io=m.example:port" leads to "m.example:port", which is on no registry: ` + registry},
		{"a.example=b.example=c.example", `mirror rule "a.example=b.example=c.example" leads to "b.example=c.example", which is on no registry: ` + registry},
		{"quay.io = m.example", `mirror rule "quay.io = m.example" rewrites "quay.io ", which is on no registry: ` + registry},
		// A pasted image, and ports that there are not.
		{"docker.io/library/nginx:1.25", `mirror rule "docker.io/library/nginx:1.25" leads to "1.25", which is on no registry: ` + registry},
		{"quay.io/nginx:v1.25", `mirror rule "quay.io/nginx:v1.25" leads to "v1.25", which is on no registry: ` + registry},
		{"quay.io=1.2.3.4.5", `mirror rule "quay.io=1.2.3.4.5" leads to "1.2.3.4.5", which is on no registry: ` + registry},
		{"quay.io=m.example:99999", `mirror rule "quay.io=m.example:99999" leads to "m.example:99999", which is on no registry: ` + registry},
		{"quay.io=m.example:0", `mirror rule "quay.io=m.example:0" leads to "m.example:0", which is on no registry: ` + registry},
		// Paths that no reference can have.
		{"mirror.example/", `mirror rule "mirror.example/" leads to "mirror.example/", which has an unreadable path: ` + path},
		{"mirror.example//hub", `mirror rule "mirror.example//hub" leads to "mirror.example//hub", which has an unreadable path: ` + path},
		{"mirror.example/Hub", `mirror rule "mirror.example/Hub" leads to "mirror.example/Hub", which has an unreadable path: ` + path},
		{"quay.io=m.example/hub:1", `mirror rule "quay.io=m.example/hub:1" leads to "m.example/hub:1", which has an unreadable path: ` + path},
		{"quay.io/=m.example", `mirror rule "quay.io/=m.example" rewrites "quay.io/", which has an unreadable path: ` + path},
		{"quay.io/Team=m.example", `mirror rule "quay.io/Team=m.example" rewrites "quay.io/Team", which has an unreadable path: ` + path},
		{"quay.io/app:v1=m.example", `mirror rule "quay.io/app:v1=m.example" rewrites "quay.io/app:v1", which has an unreadable path: ` + path},
		{"quay.io/*=m.example", `mirror rule "quay.io/*=m.example" rewrites "quay.io/*", which has an unreadable path: ` + path},
		// Two rules for the same.
		{"a.example,docker.io=b.example", `mirror rules "docker.io=a.example" and "docker.io=b.example" are both for docker.io: keep one of them`},
		{"index.docker.io=a.example,a.example", `mirror rules "docker.io=a.example" and "docker.io=a.example" are both for docker.io: keep one of them`},
		{"quay.io=a.example,QUAY.IO:443=b.example", `mirror rules "quay.io=a.example" and "QUAY.IO:443=b.example" are both for QUAY.IO:443: keep one of them`},
		{"docker.io=a.example,INDEX.docker.io:0443=b.example", `mirror rules "docker.io=a.example" and "INDEX.docker.io:0443=b.example" are both for INDEX.docker.io:0443: keep one of them`},
		{"quay.io/a=,quay.io/a=b.example", `mirror rules "quay.io/a=" and "quay.io/a=b.example" are both for quay.io/a: keep one of them`},
		{"*=a.example,*=b.example", `mirror rules "*=a.example" and "*=b.example" are both for *: keep one of them`},
		// Rules that do not converge.
		{"quay.io=quay.io", `mirror rule "quay.io=quay.io" leads to where it starts: write "quay.io=" to leave these images alone`},
		{"quay.io/a=Quay.io:443/a", `mirror rule "quay.io/a=Quay.io:443/a" leads to where it starts: write "quay.io/a=" to leave these images alone`},
		{"quay.io=quay.io/cache", `mirror rule "quay.io=quay.io/cache" leads to quay.io/cache, which rule "quay.io=quay.io/cache" rewrites again: choose another mirror, or add the rule "quay.io/cache=" to leave its images alone`},
		{"quay.io/a=quay.io/a/b", `mirror rule "quay.io/a=quay.io/a/b" leads to quay.io/a/b, which rule "quay.io/a=quay.io/a/b" rewrites again: choose another mirror, or add the rule "quay.io/a/b=" to leave its images alone`},
		{"a.example=b.example,b.example=c.example", `mirror rule "a.example=b.example" leads to b.example, which rule "b.example=c.example" rewrites again: ` + mend},
		{"a.example=b.example,b.example=a.example", `mirror rule "a.example=b.example" leads to b.example, which rule "b.example=a.example" rewrites again: ` + mend},
		{"a.example=b.example/a,b.example=c.example", `mirror rule "a.example=b.example/a" leads to b.example/a, which rule "b.example=c.example" rewrites again: choose another mirror, or add the rule "b.example/a=" to leave its images alone`},
		{"b.example=index.docker.io/b,m.example", `mirror rule "b.example=docker.io/b" leads to docker.io/b, which rule "docker.io=m.example" rewrites again: choose another mirror, or add the rule "docker.io/b=" to leave its images alone`},
		{"a.example=B.EXAMPLE:443,b.example=c.example", `mirror rule "a.example=B.EXAMPLE:443" leads to B.EXAMPLE:443, which rule "b.example=c.example" rewrites again: ` + mend},
		{"quay.io=m.example,m.example/old=m.example/new", `mirror rule "quay.io=m.example" leads to m.example, below which rule "m.example/old=m.example/new" rewrites again: ` + mend},
		{"*=m.example,m.example=,m.example/old=m.example/new", `mirror rule "*=m.example" leads to m.example, below which rule "m.example/old=m.example/new" rewrites again: ` + mend},
		{"quay.io/a/b=quay.io/a", `mirror rule "quay.io/a/b=quay.io/a" leads to quay.io/a, below which rule "quay.io/a/b=quay.io/a" rewrites again: ` + mend},
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
