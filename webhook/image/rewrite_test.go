package image

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func mustMirrors(t testing.TB, rules string) Mirrors {
	t.Helper()
	m, err := ParseMirrors(rules)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkRewrite compares the result of Rewrite with want; an empty want means that the
// reference stays unchanged.
func checkRewrite(t *testing.T, rules, written, want string) {
	t.Helper()
	rewritten := want != ""
	if !rewritten {
		want = written
	}
	if got, rule := mustMirrors(t, rules).Rewrite(mustParse(t, written)); got.Written != want || (rule != "") != rewritten {
		t.Errorf("%q rewrites %q to %q by rule %q, want %q, %v", rules, written, got.Written, rule, want, rewritten)
	}
}

// TestRewriteAppliesRules contains the cases that are not in the table valid.
func TestRewriteAppliesRules(t *testing.T) {
	const overlapping = "quay.io/team/app=app.example,quay.io=all.example/quay,quay.io/team=team.example/t,quay.io/team/app/private="
	const others = "*=m.example/all,quay.io=q.example,quay.io/team=,ghcr.io/acme=acme.example"
	tests := []struct {
		name  string
		rules string
		in    string
		want  string // empty: unchanged
	}{
		{"another spelling of a registry: port", exampleRules, "docker.io:443/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{"another spelling of a registry: case", exampleRules, "REGISTRY.K8S.IO/pause:3.10", "k8s.mirror.example/pause:3.10"},
		{"docker.io in another case", exampleRules, "Docker.io/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{"another spelling in the rule", "Quay.io:443=mirror.example", "quay.io/app:1", "mirror.example/app:1"},
		{"another spelling of a registry: zeros before the port", exampleRules, "registry.k8s.io:00443/pause:3.10", "k8s.mirror.example/pause:3.10"},
		{"another spelling of Docker Hub", exampleRules, "INDEX.docker.io:0443/library/nginx:1", "docker.mirror.example/library/nginx:1"},
		{"another spelling of a port", "host:5000=m.example", "HOST:05000/x:1", "m.example/x:1"},
		{"an IPv6 address", "[::1]:5000=m.example", "[::1]:05000/x:1", "m.example/x:1"},
		{"the ID of an image on the node", exampleRules, sha256Ref, ""},
		{"an image with the beginning of an ID", exampleRules, "sha256:1", "docker.mirror.example/library/sha256:1"},
		{"another port is another registry", exampleRules, "registry.k8s.io:5000/pause:3.10", ""},
		{"an image on the mirror is unchanged", exampleRules, "docker.mirror.example/library/nginx:1", ""},
		{"no rules", "", "docker.io/library/nginx:1", ""},
		{"mirror with a port and a path", "docker.io=m:5000/hub", "nginx:1", "m:5000/hub/library/nginx:1"},
		{"registry with a port", "host:5000=m.example/host", "host:5000/x:1", "m.example/host/x:1"},
		{"the host without the port is another registry", "host:5000=m.example/host", "host/x:1", ""},

		{"longest match: the registry", overlapping, "quay.io/other:1", "all.example/quay/other:1"},
		{"longest match: the path", overlapping, "quay.io/team/web:1", "team.example/t/web:1"},
		{"longest match: the longer path", overlapping, "quay.io/team/app/x:1", "app.example/x:1"},
		{"longest match: an exclusion", overlapping, "quay.io/team/app/private/x:1", ""},
		{"longest match: the exclusion's own path", overlapping, "quay.io/team/app/private:1", ""},
		{"paths end at a boundary", overlapping, "quay.io/teams/web:1", "all.example/quay/teams/web:1"},
		{"a path does not match in the middle", overlapping, "quay.io/x/team/web:1", "all.example/quay/x/team/web:1"},
		{"the registry of a path is case-insensitive", overlapping, "QUAY.IO/team/web:1", "team.example/t/web:1"},
		{"the path itself is an image", "quay.io/team=m.example/t", "quay.io/team:1", "m.example/t:1"},
		{"the path itself has no name on a mirror without a path", "quay.io/team=m.example", "quay.io/team:1", ""},

		{"Docker Hub: official images", "docker.io/library=m.example/official", "nginx:1", "m.example/official/nginx:1"},
		{"Docker Hub: one official image", "docker.io/library/nginx=m.example/nginx", "nginx:1", "m.example/nginx:1"},
		{"Docker Hub: a user", "docker.io/bitnami=m.example/bitnami", "bitnami/redis:7", "m.example/bitnami/redis:7"},
		{"Docker Hub: a rule for a user does not match an official image", "docker.io/nginx=m.example", "nginx:1", ""},
		{"Docker Hub excluded", "docker.io=,*=m.example", "nginx:1", ""},

		{"all others", others, "ghcr.io/x/y:1", "m.example/all/x/y:1"},
		{"all others: a short name", others, "nginx:1", "m.example/all/library/nginx:1"},
		{"all others: not a registry with a rule", others, "quay.io/x:1", "q.example/x:1"},
		{"all others: not an excluded registry", others, "quay.io/team/x:1", ""},
		{"all others: a path with a rule of its own", others, "ghcr.io/acme/x:1", "acme.example/x:1"},
		{"all others: not its own mirror", others, "m.example/x:1", ""},
		{"all others: not the mirror of another rule", others, "acme.example/x:1", ""},
		{"all others: not a mirror in another spelling", others, "Q.EXAMPLE:443/x:1", ""},
		{"all others excluded changes nothing", "*=", "nginx:1", ""},

		{"a path that would exceed the limit of 255 bytes", "m.example/hub", "x/" + strings.Repeat("a", 250) + ":1", ""},
		{"a path that just fits", "m.example/hub", "x/" + strings.Repeat("a", 249) + ":1", "m.example/hub/x/" + strings.Repeat("a", 249) + ":1"},
		// On docker.io a single component would be read as library/etcd.
		{"docker.io as a mirror: one component", "quay.io=docker.io", "quay.io/etcd:1", ""},
		{"docker.io as a mirror", "quay.io=docker.io", "quay.io/coreos/etcd:1", "docker.io/coreos/etcd:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkRewrite(t, tt.rules, tt.in, tt.want) })
	}
}

func TestRewriteIgnoresTheOrderOfRules(t *testing.T) {
	rules := []string{"quay.io=all.example", "quay.io/team=team.example", "quay.io/team/app=", "*=rest.example"}
	want := map[string]string{
		"quay.io/x:1": "all.example/x:1", "quay.io/team/x:1": "team.example/x:1", "quay.io/team/app:1": "", "nginx": "rest.example/library/nginx",
	}
	for range rules {
		rules = append(rules[1:], rules[0])
		for written, mirrored := range want {
			checkRewrite(t, strings.Join(rules, ","), written, mirrored)
		}
	}
}

func TestOriginsReturnsReferencesBeforeMirroring(t *testing.T) {
	const shared = "docker.io=m.example/x,quay.io=m.example/x,ghcr.io/acme=m.example/x/acme"
	tests := []struct {
		name  string
		rules string
		in    string
		want  []string
	}{
		{"in the short form", exampleRules, "docker.mirror.example/library/nginx:1.25", []string{"nginx:1.25"}},
		{"tag and digest", exampleRules, "docker.mirror.example/bitnami/redis:7@" + sha256Ref, []string{"bitnami/redis:7@" + sha256Ref}},
		{"another registry", exampleRules, "k8s.mirror.example/pause:3.10", []string{"registry.k8s.io/pause:3.10"}},
		{"mirrors that share a path", shared, "m.example/x/library/app:1", []string{"app:1", "quay.io/library/app:1"}},
		{"a longer path of the mirror", shared, "m.example/x/acme/app:1", []string{"ghcr.io/acme/app:1", "acme/app:1", "quay.io/acme/app:1"}},
		{"an image that is a rule's path", "quay.io/team=m.example/t", "m.example/t:1", []string{"quay.io/team:1"}},
		{"on no mirror", exampleRules, "quay.io/x:1", nil},
		{"beside the mirror's path", shared, "m.example/xy/app:1", nil},
		{"no rule sends images there", exampleRules, "docker.mirror.example/nginx:1", nil},
		{"excluded from the rule", "quay.io=m.example,quay.io/team=", "m.example/team/x:1", nil},
		{"the wildcard does not keep the registry", "*=m.example/all", "m.example/all/x:1", nil},
		{"no rules", "", "nginx:1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mustMirrors(t, tt.rules).Origins(mustParse(t, tt.in))); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
		})
	}
}

// rulesSeeds are valid and invalid rules for the fuzzers.
var rulesSeeds = []string{
	exampleRules,
	"docker.io=m:5000/hub,quay.io=docker.mirror.example",
	"quay.io=docker.io",
	"a.b:c.d,c.d:a.b",
	"quay.io/a=quay.io/b,quay.io/b/c=,*=m.example/x",
	"quay.io=quay.io/cache,quay.io/cache=",
	"*=m.example,docker.io/library/nginx=m.example/nginx,docker.io/library=",
	"quay.io/a/b=quay.io/a",
}

// FuzzRewrite checks for all valid rules that rewriting a rewritten reference changes
// nothing, that tag and digest are kept, and that each origin is rewritten to the reference.
func FuzzRewrite(f *testing.F) {
	for _, rules := range rulesSeeds {
		for _, tt := range valid {
			f.Add(rules, tt.in)
		}
	}
	f.Fuzz(func(t *testing.T, rules, s string) {
		m, err := ParseMirrors(rules)
		if err != nil {
			return
		}
		ref, err := Parse(s)
		if err != nil {
			return
		}
		once, rule := m.Rewrite(ref)
		ok := rule != ""
		if ok && !slices.Contains(m.Rules(), rule) {
			t.Errorf("the rule %q is not one of %q", rule, m.Rules())
		}
		if ok == (once.Written == s) {
			t.Errorf("rewritten to %q, %v", once.Written, ok)
		}
		if want, wantOK := m.rewriteByParsing(ref); once.Written != want || ok != wantOK {
			t.Errorf("rewritten to %q, %v, want %q, %v", once.Written, ok, want, wantOK)
		}
		if twice, again := m.Rewrite(once); again != "" {
			t.Errorf("rewritten to %q and then to %q", once.Written, twice.Written)
		}
		if ok {
			checkRewritten(t, ref, once)
		}
		for _, origin := range m.Origins(once) {
			checkRewrite(t, rules, origin, once.Written)
		}
		checkLookups(t, m, ref)
		checkLookups(t, m, once)
	})
}

// rewriteByParsing is a slower implementation of Rewrite. It replaces the text of the
// pattern and parses the result.
func (m Mirrors) rewriteByParsing(ref Reference) (string, bool) {
	r, ok := m.findByScan(ref.Registry, ref.Path)
	if !ok || r.excludes() || isID(ref.Written) {
		return ref.Written, false
	}
	rest := ref.Path[len(r.pattern.path):]
	if r.pattern.path == "" {
		rest = "/" + rest
	}
	mirrored := r.mirror.String() + rest + ref.suffix()
	if again, err := Parse(mirrored); err != nil || again.String() != mirrored {
		return ref.Written, false
	}
	return mirrored, true
}

// checkRewritten compares a rewritten reference with the original, and with the result of
// Parse for its written form.
func checkRewritten(t *testing.T, before, after Reference) {
	t.Helper()
	if diff := cmp.Diff(mustParse(t, after.Written), after); diff != "" {
		t.Errorf("%q (-parsed +rewritten):\n%s", after.Written, diff)
	}
	if after.suffix() != before.suffix() || !strings.HasSuffix(after.Written, before.suffix()) {
		t.Errorf("tag and digest %q became %q", before.suffix(), after.suffix())
	}
}

// checkLookups compares the rule and the origins of a reference, and whether an exemption with
// the patterns of the rules matches it, with the results of slower implementations.
func checkLookups(t *testing.T, m Mirrors, ref Reference) {
	t.Helper()
	var got rule
	found := m.find(ref.Registry, ref.Path)
	ok := found != nil
	if ok {
		got = *found
	}
	if want, wantOK := m.findByScan(ref.Registry, ref.Path); got != want || ok != wantOK {
		t.Errorf("%q applies %q, %v to %q, want %q, %v", m, got, ok, ref.Written, want, wantOK)
	}
	byText := cmpopts.SortSlices(func(a, b name) bool { return a.registry+"/"+a.path < b.registry+"/"+b.path })
	if diff := cmp.Diff(m.originsByScan(ref), m.appendOrigins(nil, ref.name()), cmp.AllowUnexported(name{}), cmpopts.IgnoreFields(name{}, "rule"), byText, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("origins of %q with the rules %q (-want +got):\n%s", ref.Written, m, diff)
	}
	var patterns []pattern
	for _, r := range m.rules {
		if !r.pattern.isWildcard() {
			patterns = append(patterns, r.pattern)
		}
	}
	exempt := newPatterns(patterns)
	if got, want := exempt.match(&ref), exempt.matchByScan(ref); got != want {
		t.Errorf("%q matches %q: %v, want %v", exempt, ref.Written, got, want)
	}
}

// FuzzConverge checks that valid rules never rewrite a reference twice, and that errors name
// the first rules that conflict. The rules have few registries and paths, so that they overlap.
// The references are those that could show a violation: at and below the patterns and mirrors
// of the rules.
func FuzzConverge(f *testing.F) {
	for i := range byte(len(mirrorTexts)) {
		f.Add([]byte{i, i + 1, i + 2, i / 2, 0, i})
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		m, err := ParseMirrors(ruleSet(choices))
		checkConflict(t, ruleSet(choices), err)
		if err != nil {
			return
		}
		if again, err := ParseMirrors(m.String()); err != nil || again.String() != m.String() {
			t.Errorf("%q is read again as %q, %v", m, again, err)
		}
		for _, s := range crossings(m) {
			ref, err := Parse(s)
			if err != nil {
				continue
			}
			checkLookups(t, m, ref)
			if once, rule := m.Rewrite(ref); rule != "" {
				if twice, again := m.Rewrite(once); again != "" {
					t.Errorf("%q rewrites %q to %q and then to %q", m, s, once.Written, twice.Written)
				}
			}
		}
	})
}

// checkConflict compares the rules that an error of ParseMirrors names with those that a slower
// implementation finds.
func checkConflict(t *testing.T, list string, err error) {
	t.Helper()
	rules, listErr := parseList("mirror rule", list, parseRule)
	if listErr != nil {
		t.Fatal(listErr)
	}
	first, second, conflict := Mirrors{rules: rules}.conflictByScan()
	if conflict != (err != nil) {
		t.Fatalf("%q: error %v, want one: %v", list, err, conflict)
	}
	if conflict {
		_, rest, ok := strings.Cut(err.Error(), strconv.Quote(first.String()))
		if !ok || !strings.Contains(rest, strconv.Quote(second.String())) && first != second {
			t.Errorf("%q: error %v, want one about %q and %q", list, err, first, second)
		}
	}
}

// patternTexts and mirrorTexts are the possible patterns and mirrors of the rules.
var patternTexts, mirrorTexts = ruleSides("*"), ruleSides("")

// ruleSides returns the combinations of some registries and paths, and additional.
func ruleSides(additional string) []string {
	sides := []string{additional}
	for _, registry := range []string{"a.example", "A.EXAMPLE:443", "b.example", "c.example", "docker.io"} {
		for _, path := range []string{"", "/x", "/x/y", "/x/y/z", "/y", "/library", "/library/x"} {
			sides = append(sides, registry+path)
		}
	}
	return sides
}

// ruleSet returns one rule for every two choices, up to six rules.
func ruleSet(choices []byte) string {
	var rules []string
	for ; len(choices) > 1 && len(rules) < 6; choices = choices[2:] {
		rules = append(rules, patternTexts[int(choices[0])%len(patternTexts)]+"="+mirrorTexts[int(choices[1])%len(mirrorTexts)])
	}
	return strings.Join(rules, ",")
}

// crossings returns references at and below every pattern of the rules, each also with the
// path of every other pattern appended.
func crossings(m Mirrors) (refs []string) {
	patterns := []pattern{{registry: "other.example"}}
	for _, r := range m.rules {
		for _, p := range []pattern{r.pattern, r.mirror} {
			if !p.isWildcard() && p.registry != "" {
				patterns = append(patterns, p)
			}
		}
	}
	for _, p := range patterns {
		refs = append(refs, p.String(), p.String()+"/x")
		for _, q := range patterns {
			tail := strings.TrimPrefix(q.path, p.path)
			refs = append(refs, p.String()+"/"+q.path+"/x", p.String()+tail, p.String()+tail+"/x")
		}
	}
	return refs
}
