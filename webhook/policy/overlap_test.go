package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// version returns the rules of a file with these lines after the header.
func version(t testing.TB, lines ...string) *admission.Rules {
	t.Helper()
	rules, err := read(header + strings.Join(lines, "\n") + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// applied describes the rules that apply: where images are sent, and which former mirrors are accepted.
func applied(r *admission.Rules) string {
	former := []string{}
	for _, m := range r.Policy.Former {
		former = append(former, m.Mirrors.String())
	}
	return r.Changes.Mirrors.String() + " accepting [" + strings.Join(former, " ") + "]"
}

const (
	toOld   = "mirrors: [{source: docker.io, mirror: old.example}]"
	toNew   = "mirrors: [{source: docker.io, mirror: new.example}]"
	only    = "allowedRegistries: [old.example]"
	onlyNew = "allowedRegistries: [new.example]"
	latest  = "disallowedTags: [latest]"
)

func TestReplicasOverlap(t *testing.T) {
	type step struct {
		at    time.Duration
		lines []string // of the file; nil: no change
		want  string
	}
	tests := []struct {
		name  string
		first []string
		steps []step
	}{
		{"other tags apply at once", []string{toOld, only}, []step{
			{time.Minute, []string{toOld, only, latest}, "docker.io=old.example accepting []"},
		}},
		{"another mirror applies at once if nothing depends on names", []string{toOld}, []step{
			{time.Minute, []string{toNew, onlyNew}, "docker.io=new.example accepting [docker.io=old.example]"},
			{time.Minute + 2*maxSkew - 1, nil, "docker.io=new.example accepting [docker.io=old.example]"},
			{time.Minute + 2*maxSkew, nil, "docker.io=new.example accepting []"},
		}},
		{"another mirror waits for replicas that would deny it", []string{toOld, only}, []step{
			{time.Minute, []string{toNew, onlyNew}, "docker.io=old.example accepting [docker.io=old.example]"},
			{time.Minute + maxSkew - 1, nil, "docker.io=old.example accepting [docker.io=old.example]"},
			{time.Minute + maxSkew, nil, "docker.io=new.example accepting [docker.io=old.example]"},
			{time.Minute + 2*maxSkew, nil, "docker.io=new.example accepting []"},
		}},
		{"a removed mirror waits too", []string{toOld, only}, []step{
			{time.Minute, []string{latest}, "docker.io=old.example accepting [docker.io=old.example]"},
			{time.Minute + maxSkew, nil, " accepting [docker.io=old.example]"},
			{time.Minute + 2*maxSkew, nil, " accepting []"},
		}},
		{"the first mirror waits", []string{"allowedRegistries: [docker.io]"}, []step{
			{time.Minute, []string{toNew, onlyNew}, " accepting []"},
			{time.Minute + maxSkew, nil, "docker.io=new.example accepting []"},
		}},
		{"a change that waits is not delayed again", []string{toOld, only}, []step{
			{time.Minute, []string{toNew, onlyNew}, "docker.io=old.example accepting [docker.io=old.example]"},
			{2 * time.Minute, []string{toNew, onlyNew, latest}, "docker.io=old.example accepting [docker.io=old.example]"},
			{time.Minute + maxSkew, nil, "docker.io=new.example accepting [docker.io=old.example]"},
		}},
		{"a change that is taken back", []string{toOld, only}, []step{
			{time.Minute, []string{toNew, onlyNew}, "docker.io=old.example accepting [docker.io=old.example]"},
			{2 * time.Minute, []string{toOld, only}, "docker.io=old.example accepting [docker.io=new.example]"},
			{2*time.Minute + 2*maxSkew, nil, "docker.io=old.example accepting []"},
		}},
		{"an allow-list that was removed a moment ago", []string{toOld, only}, []step{
			{time.Minute, []string{toOld}, "docker.io=old.example accepting []"},
			{2 * time.Minute, []string{toNew}, "docker.io=old.example accepting [docker.io=old.example]"},
			{2*time.Minute + maxSkew, nil, "docker.io=new.example accepting [docker.io=old.example]"},
		}},
		{"an allow-list that was removed long ago", []string{toOld, only}, []step{
			{time.Minute, []string{toOld}, "docker.io=old.example accepting []"},
			{time.Minute + maxSkew, []string{toNew}, "docker.io=new.example accepting [docker.io=old.example]"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			o := overlap{latest: version(t, tt.first...)}
			for _, step := range tt.steps {
				now := start.Add(step.at)
				if step.lines != nil {
					o.change(version(t, step.lines...), now)
				}
				got := o.at(now)
				if applied(got) != step.want {
					t.Errorf("after %s: %s, want %s", step.at, applied(got), step.want)
				}
				if again := o.at(now); again != got {
					t.Errorf("after %s: other rules when nothing has changed", step.at)
				}
			}
		})
	}
}

// TestReplicasWithDifferentVersionsNeverContradictEachOther lets two replicas read a new file at
// different times, and lets one mirror an image and the other one check it, at every moment. The image
// is allowed by both versions.
func TestReplicasWithDifferentVersionsNeverContradictEachOther(t *testing.T) {
	const written = "redis:7"
	versions := map[string][]string{
		"old":         {toOld, only},
		"new":         {toNew, onlyNew},
		"both":        {toOld, "allowedRegistries: [old.example, new.example]"},
		"no mirror":   {"allowedRegistries: [docker.io]"},
		"no rules":    {latest},
		"old, exempt": {toOld, "disallowedTags: [\"7\"]", "exemptImages: [docker.io/library/redis]"},
		"new, exempt": {toNew, "disallowedTags: [\"7\"]", "exemptImages: [docker.io/library/redis]"},
	}
	ref, err := image.Parse(written)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for from, first := range versions {
		for to, second := range versions {
			for _, skew := range []time.Duration{0, time.Second, maxSkew - time.Second} {
				start := time.Now()
				early, late := overlap{latest: version(t, first...)}, overlap{latest: version(t, first...)}
				next := version(t, second...)
				for at := time.Duration(0); at < 3*maxSkew; at += time.Second {
					now := start.Add(at)
					if at == 0 {
						early.change(next, now)
					}
					if at == skew {
						late.change(next, now)
					}
					for _, pair := range [][2]*overlap{{&early, &late}, {&late, &early}, {&early, &early}, {&late, &late}} {
						stored, _ := pair[0].at(now).Changes.Mirrors.Rewrite(ref)
						policy := &pair[1].at(now).Policy
						if found := policy.Check(stored); len(found) > 0 {
							t.Fatalf("from %q to %q, %s apart, after %s: %s was stored as %s and is denied: %v", from, to, skew, at, written, stored.Written, found)
						}
						checked++
					}
				}
			}
		}
	}
	t.Logf("%d pairs of mirroring and checking", checked)
}

func TestOverlapKeepsTheFileItself(t *testing.T) {
	rules := version(t, toOld, only)
	o := overlap{latest: rules}
	now := time.Now()
	o.change(version(t, toNew, onlyNew), now)
	if diff := cmp.Diff("docker.io=new.example", o.latest.Changes.Mirrors.String()); diff != "" {
		t.Errorf("mirrors of the file (-want +got):\n%s", diff)
	}
	if len(rules.Policy.Former) != 0 || rules.Changes.Mirrors.String() != "docker.io=old.example" {
		t.Error("the former rules were modified")
	}
}
