package image

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTablesHaveTheOrderInWhichRulesApply(t *testing.T) {
	pinned := "@sha256:" + strings.Repeat("a", 64)
	mirrors, err := NewMirrors([]Mirror{{"*", "all.example/x"}, {"docker.io", "Mirror.example:443/hub"}, {"index.docker.io/library", ""}, {"quay.io/a", "mirror.example/hub/a"}})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := NewTags([]string{"*-dev", "dev-*", "latest"})
	if err != nil {
		t.Fatal(err)
	}
	denied, err := NewDenied([]DeniedImage{{"quay.io/a", "1"}, {"quay.io/a/b", "2"}, {"nginx:1", "3"}, {"*" + pinned, "4"}})
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := NewPatterns(ListAllowed, []string{"QUAY.io:0443/a"})
	if err != nil {
		t.Fatal(err)
	}
	policy := Policy{Mirrors: mirrors, Disallowed: tags, Denied: denied, Allowed: allowed}
	hub := MirrorRow{Source: "docker.io", Origin: "docker.io", Mirror: "mirror.example/hub", Target: "Mirror.example:443/hub"}
	quay := MirrorRow{Source: "quay.io/a", Origin: "quay.io/a", Mirror: "mirror.example/hub/a", Target: "mirror.example/hub/a"}
	want := Tables{
		Mirrors:     []MirrorRow{{Source: "docker.io/library", Origin: "docker.io/library"}, hub, quay, {Source: "*", Origin: "*", Mirror: "all.example/x", Target: "all.example/x"}},
		Origins:     []MirrorRow{quay, hub},
		Tags:        []string{"latest", "dev-*", "*-dev"},
		Allowed:     []string{"quay.io/a"},
		Denied:      []DeniedRow{{Name: "quay.io/a/b", Reason: "2"}, {Name: "quay.io/a", Reason: "1"}},
		DeniedExact: []DeniedRow{{Name: "*", Digest: pinned[1:], Reason: "4"}, {Name: "docker.io/library/nginx", Tag: "1", Reason: "3"}},
	}
	if diff := cmp.Diff(want, policy.Tables()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}
