package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// lists are the lists of a policy, except mirrors and tags, as text.
type lists struct {
	rules, tags, exempt, allowed, digest string // comma-separated
	denied                               []string
}

// mustPatterns returns the patterns of a comma-separated list.
func mustPatterns(t testing.TB, list, items string) Patterns {
	t.Helper()
	split, err := splitList("pattern", items)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPatterns(list, split)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// policyOf returns a valid policy.
func policyOf(t testing.TB, l lists) Policy {
	t.Helper()
	tags, err := ParseTags(l.tags)
	if err != nil {
		t.Fatal(err)
	}
	var images []DeniedImage
	for _, image := range l.denied {
		images = append(images, DeniedImage{image, "because of " + image})
	}
	denied, err := NewDenied(images)
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{
		Mirrors: mustMirrors(t, l.rules), Disallowed: tags, Denied: denied,
		Exempt: mustPatterns(t, ListExempt, l.exempt), Allowed: mustPatterns(t, ListAllowed, l.allowed), RequireDigest: mustPatterns(t, ListRequireDigest, l.digest),
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

// broken returns the rules that a stored image breaks, with the pattern or the mirrored name.
func broken(found []Violation) (texts []string) {
	for _, v := range found {
		texts = append(texts, strings.TrimSpace(v.Rule.String()+" "+v.Pattern+v.Mirrored))
	}
	return texts
}

// The stored image is the one after mirroring.
func TestCheckReturnsEveryBrokenRule(t *testing.T) {
	const hub = "docker.io=m.example/hub"
	tests := []struct {
		name   string
		policy lists
		stored string
		want   []string
	}{
		{"a tag with a prefix", lists{tags: "dev-*"}, "nginx:dev-1", []string{"tag dev-*"}},
		{"only the prefix", lists{tags: "dev-*"}, "nginx:dev-", []string{"tag dev-*"}},
		{"a part of the prefix", lists{tags: "dev-*"}, "nginx:dev", nil},
		{"the prefix inside", lists{tags: "dev-*"}, "nginx:1-dev-1", nil},
		{"a tag with a suffix", lists{tags: "*-snapshot"}, "nginx:1.2-snapshot", []string{"tag *-snapshot"}},
		{"the suffix inside", lists{tags: "*-snapshot"}, "nginx:1.2-snapshot.1", nil},
		{"tag patterns are case-sensitive", lists{tags: "*-snapshot"}, "nginx:1.2-SNAPSHOT", nil},
		{"inside", lists{tags: "*rc*"}, "nginx:1-rc1", []string{"tag *rc*"}},
		{"prefix and suffix overlap", lists{tags: "1-*-1"}, "nginx:1-1", nil},
		{"several asterisks in order", lists{tags: "v*-rc*.*"}, "nginx:v1.2-rc3.4", []string{"tag v*-rc*.*"}},
		{"several asterisks in another order", lists{tags: "v*-rc*.*"}, "nginx:v1.2-rc3", nil},
		{"untagged matches a pattern of latest", lists{tags: "late*"}, "nginx", []string{"no_tag late*"}},
		{"a digest pins", lists{tags: "dev-*"}, "nginx:dev-1@" + sha256Ref, nil},
		{"exempt from a pattern", lists{tags: "dev-*", exempt: "quay.io/team"}, "quay.io/team/app:dev-1", nil},

		{"allowed registry", lists{allowed: "quay.io,ghcr.io/team"}, "quay.io/app:1", nil},
		{"allowed path", lists{allowed: "quay.io,ghcr.io/team"}, "ghcr.io/team/app:1", nil},
		{"allowed path itself", lists{allowed: "ghcr.io/team"}, "ghcr.io/team:1", nil},
		{"beside the path", lists{allowed: "quay.io,ghcr.io/team"}, "ghcr.io/teams/app:1", []string{"registry"}},
		{"another registry", lists{allowed: "quay.io,ghcr.io/team"}, "nginx:1", []string{"registry"}},
		{"another spelling", lists{allowed: "quay.io"}, "QUAY.IO:0443/app:1", nil},
		{"another port", lists{allowed: "quay.io"}, "quay.io:5000/app:1", []string{"registry"}},
		{"a registry that only begins like it", lists{allowed: "quay.io"}, "quay.io.example/app:1", []string{"registry"}},
		{"an allowed registry as a path", lists{allowed: "quay.io"}, "evil.example/quay.io/app:1", []string{"registry"}},
		{"a digest does not help", lists{allowed: "quay.io"}, "nginx@" + sha256Ref, []string{"registry"}},
		{"an exemption does not help", lists{allowed: "quay.io", tags: "latest", exempt: "quay.io/team"}, "ghcr.io/team/app", []string{"registry", "no_tag"}},
		{"the ID of an image on the node", lists{allowed: "quay.io"}, sha256Ref, []string{"registry"}},
		{"on the mirror", lists{rules: hub, allowed: "m.example"}, "m.example/hub/library/nginx:1", nil},
		{"not mirrored", lists{rules: hub, allowed: "m.example"}, "nginx:1", []string{"registry m.example/hub/library/nginx:1"}},
		{"excluded from mirroring", lists{rules: hub + ",docker.io/x=", allowed: "m.example"}, "docker.io/x/y:1", []string{"registry"}},

		{"digest required", lists{digest: "quay.io/prod"}, "quay.io/prod/app:1", []string{"digest quay.io/prod"}},
		{"digest required and present", lists{digest: "quay.io/prod"}, "quay.io/prod/app:1@" + sha256Ref, nil},
		{"digest not required", lists{digest: "quay.io/prod"}, "quay.io/dev/app:1", nil},
		{"digest required for all", lists{digest: "*"}, "nginx:1", []string{"digest *"}},
		{"digest required for the ID of an image", lists{digest: "*"}, sha256Ref, []string{"digest *"}},
		{"a digest solves the tag too", lists{digest: "*", tags: "latest"}, "nginx", []string{"digest *"}},
		{"exempt from a digest", lists{digest: "*", exempt: "quay.io/team"}, "quay.io/team/app:1", nil},
		{"digest required by the original name", lists{rules: hub, digest: "docker.io/library"}, "m.example/hub/library/nginx:1", []string{"digest docker.io/library"}},
		{"digest required by the name on the mirror", lists{rules: hub, digest: "m.example/hub"}, "nginx:1", []string{"digest m.example/hub"}},

		{"denied path", lists{denied: []string{"docker.io/bitnami"}}, "bitnami/redis:7", []string{"denied_image docker.io/bitnami"}},
		{"denied with a digest too", lists{denied: []string{"docker.io/bitnami"}}, "bitnami/redis@" + sha256Ref, []string{"denied_image docker.io/bitnami"}},
		{"denied tag", lists{denied: []string{"nginx:1.25"}}, "nginx:1.25", []string{"denied_image nginx:1.25"}},
		{"denied tag of another image", lists{denied: []string{"nginx:1.25"}}, "nginx/x:1.25", nil},
		{"another tag", lists{denied: []string{"nginx:1.25"}}, "nginx:1.25.1", nil},
		{"denied tag with a digest", lists{denied: []string{"nginx:1.25"}}, "nginx:1.25@" + sha256Ref, nil},
		{"denied latest", lists{denied: []string{"nginx:latest"}}, "nginx", []string{"denied_image nginx:latest"}},
		{"denied digest", lists{denied: []string{"nginx@" + sha256Ref}}, "nginx:2@" + sha256Ref, []string{"denied_image nginx@" + sha256Ref}},
		{"denied digest, written with a tag", lists{denied: []string{"nginx:1@" + sha256Ref}}, "nginx@" + sha256Ref, []string{"denied_image nginx:1@" + sha256Ref}},
		{"denied digest of another image", lists{denied: []string{"nginx@" + sha256Ref}}, "redis@" + sha256Ref, nil},
		{"denied digest in all registries", lists{denied: []string{"*@" + sha256Ref}}, "quay.io/x/y@" + sha256Ref, []string{"denied_image *@" + sha256Ref}},
		{"denied by the original name", lists{rules: hub, denied: []string{"nginx:1.25"}}, "m.example/hub/library/nginx:1.25", []string{"denied_image nginx:1.25"}},
		{"denied by the name on the mirror", lists{rules: hub, denied: []string{"m.example/hub/library/nginx"}}, "nginx:1.25", []string{"denied_image m.example/hub/library/nginx"}},
		{"denied by the original name, with the mirror in another spelling", lists{rules: hub, denied: []string{"nginx:1.25"}}, "M.EXAMPLE:443/hub/library/nginx:1.25", []string{"denied_image nginx:1.25"}},
		{"an image with a numeric tag", lists{denied: []string{"quay.io/team/app:16"}}, "quay.io/team/app:16", []string{"denied_image quay.io/team/app:16"}},
		{"denied in another spelling", lists{denied: []string{"quay.io/app:1"}}, "QUAY.IO:443/app:1", []string{"denied_image quay.io/app:1"}},
		{"the most specific reason", lists{denied: []string{"docker.io", "docker.io/library", "nginx:1.25"}}, "nginx:1.25", []string{"denied_image nginx:1.25"}},
		{"the longest path", lists{denied: []string{"docker.io", "docker.io/library", "nginx:1.25"}}, "nginx:1", []string{"denied_image docker.io/library"}},
		{"a registry with a port", lists{denied: []string{"old.example:5000"}}, "old.example:5000/app:1", []string{"denied_image old.example:5000"}},
		{"an image whose tag is a number", lists{denied: []string{"postgres:16"}}, "docker.io/library/postgres:16", []string{"denied_image postgres:16"}},
		{"denied and exempt", lists{tags: "latest", exempt: "quay.io", denied: []string{"quay.io/x"}}, "quay.io/x", []string{"denied_image quay.io/x"}},

		{
			"everything", lists{tags: "latest", allowed: "quay.io", digest: "quay.io/prod", denied: []string{"docker.io"}},
			"nginx", []string{"denied_image docker.io", "registry", "no_tag"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := policyOf(t, tt.policy)
			got := policy.Check(mustParse(t, tt.stored))
			if diff := cmp.Diff(tt.want, broken(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			for _, v := range got {
				if v.Rule == RuleDenied && v.Reason != "because of "+v.Pattern {
					t.Errorf("reason %q", v.Reason)
				}
			}
		})
	}
}

// A template is checked as its pods will be: after mirroring.
func TestCheckUnmirroredChecksTheNameOnTheMirror(t *testing.T) {
	policy := policyOf(t, lists{rules: "docker.io=m.example/hub", allowed: "m.example"})
	for written, want := range map[string][]string{"nginx:1": nil, "m.example/x:1": nil, "quay.io/app:1": {"registry"}} {
		if diff := cmp.Diff(want, broken(policy.CheckUnmirrored(mustParse(t, written))), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", written, diff)
		}
	}
}

// Other replicas may still send images to a former mirror.
func TestFormerRulesCountToo(t *testing.T) {
	policy := policyOf(t, lists{rules: "docker.io=new.example", allowed: "new.example", tags: "latest", exempt: "docker.io/library/busybox", denied: []string{"nginx:1.25"}})
	tests := []struct {
		stored         string
		without, while []string
	}{
		{"old.example/library/redis:7", []string{"registry"}, nil},
		{"old.example/library/busybox", []string{"registry", "no_tag"}, nil},
		{"old.example/library/nginx:1.25", []string{"registry"}, []string{"denied_image nginx:1.25"}},
		{"older.example/library/redis:7", []string{"registry"}, []string{"registry"}},
	}
	for _, tt := range tests {
		for _, former := range [][]Former{nil, {{mustMirrors(t, "docker.io=old.example"), mustPatterns(t, ListAllowed, "old.example")}}} {
			policy.Former = former
			want := tt.while
			if former == nil {
				want = tt.without
			}
			if diff := cmp.Diff(want, broken(policy.Check(mustParse(t, tt.stored))), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s with %d former rules (-want +got):\n%s", tt.stored, len(former), diff)
			}
		}
	}
	if got := policy.Origins(mustParse(t, "old.example/library/redis:7")); len(got) != 1 || got[0] != "redis:7" {
		t.Errorf("origins %q", got)
	}
}

// FuzzTags compares tag patterns with an implementation that tries every way to match.
func FuzzTags(f *testing.F) {
	for _, seed := range [][2]string{{"dev-*", "dev-1"}, {"*-snapshot", "1-snapshot"}, {"a*b*c", "a1b2c"}, {"*a*", "ba"}, {"1-*-1", "1-1"}, {"*a", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, tag string) {
		tags, err := ParseTags(pattern)
		if len(tag) > 20 || len(pattern) > 20 || err != nil || strings.Contains(pattern, ",") {
			return
		}
		if again, err := ParseTags(tags.String()); err != nil || again.String() != tags.String() {
			t.Errorf("%q is read again as %q, %v", tags, again, err)
		}
		_, got := tags.find(tag)
		if want := matchBySearch(strings.TrimSpace(pattern), tag); got != want && tags.String() != "" {
			t.Errorf("%q matches %q: %v, want %v", pattern, tag, got, want)
		}
	})
}

// matchBySearch reports whether a tag matches a pattern.
func matchBySearch(pattern, tag string) bool {
	if rest, ok := strings.CutPrefix(pattern, wildcard); ok {
		for i := range len(tag) + 1 {
			if matchBySearch(rest, tag[i:]) {
				return true
			}
		}
		return false
	}
	if pattern == "" || tag == "" {
		return pattern == tag
	}
	return pattern[0] == tag[0] && matchBySearch(pattern[1:], tag[1:])
}

// FuzzDenied checks that a denied reference is denied, in every spelling.
func FuzzDenied(f *testing.F) {
	for _, tt := range valid {
		f.Add(tt.in)
	}
	for _, s := range []string{"*@" + sha256Ref, "quay.io", "mirror.example:5000", "postgres:16", "*", "docker.io/bitnami"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, written string) {
		denied, err := NewDenied([]DeniedImage{{written, "x"}})
		if err != nil {
			return
		}
		ref, err := Parse(written)
		if err != nil {
			return // a wildcard, or a registry alone
		}
		if ref.Tag == "" && ref.Digest == "" || isHostWithPort(written) {
			return // a pattern
		}
		policy := Policy{Denied: denied}
		for _, spelling := range []string{written, ref.String(), ref.familiar()} {
			if again := mustParse(t, spelling); len(policy.Check(again)) == 0 {
				t.Errorf("%q does not deny %q", written, spelling)
			}
		}
	})
}
