package image

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, in string }{
		{"short name", "nginx"},
		{"full name with tag", "registry.k8s.io/ingress-nginx/controller:v1.11.1"},
		{"digest", "quay.io/team/app@" + sha256Ref},
		{"invalid", "Nginx:1"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(bb.in)
			}
		})
	}
}

func BenchmarkParseMirrors(b *testing.B) {
	rules := teamList(10_000, "quay.io/team%[1]d=mirror.example/quay/team%[1]d")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMirrors(rules); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	benchmarkRules(b, func(b *testing.B, policy Policy) {
		for _, written := range []string{"quay.io/team0/app:1.25", "ghcr.io/team0/app:1.25"} {
			ref := mustParse(b, written)
			b.Run(written, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					policy.Mirrors.Rewrite(ref)
				}
			})
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	benchmarkRules(b, func(b *testing.B, policy Policy) {
		for _, bb := range []struct{ name, in string }{
			{"fixed tag", "quay.io/team0/app:1.25"},
			{"exempt", "quay.io/team0/app:latest"},
			{"exempt on its mirror", "mirror.example/quay/team0/app:latest"},
			{"denied", "ghcr.io/team0/app:latest"},
		} {
			ref := mustParse(b, bb.in)
			b.Run(bb.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					policy.Check(ref)
				}
			})
		}
	})
}

func TestAllowedImagesNeedNoAllocations(t *testing.T) {
	policy := newPolicy(t, "latest", "registry:5000/team", "quay.io=mirror.example/quay,*=registry:5000/all")
	tests := []struct {
		name string
		want float64
		run  func()
	}{
		{"parse", 0, func() { _, _ = Parse("registry.k8s.io/ingress-nginx/controller:v1.11.1@" + sha256Ref) }},
		{"parse and add library/", 1, func() { _, _ = Parse("nginx:1.25") }},
		{"check a fixed tag", 0, checkImage(t, policy, "quay.io/team/app:1.25")},
		{"check an exempt image", 0, checkImage(t, policy, "registry:5000/team/app:latest")},
		{"rewrite", 1, rewriteImage(t, policy.Mirrors, "quay.io/team/app:1.25@"+sha256Ref)},
		{"do not rewrite", 0, rewriteImage(t, policy.Mirrors, "mirror.example/quay/team/app:1.25")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, tt.run); got != tt.want {
				t.Errorf("%v allocations, want %v", got, tt.want)
			}
		})
	}
}

func checkImage(t *testing.T, policy Policy, written string) func() {
	ref := mustParse(t, written)
	return func() { policy.Check(ref) }
}

func rewriteImage(t *testing.T, mirrors Mirrors, written string) func() {
	ref := mustParse(t, written)
	return func() { mirrors.Rewrite(ref) }
}

// benchmarkRules runs a benchmark with one rule and with many rules, and with as many
// exemptions.
func benchmarkRules(b *testing.B, run func(*testing.B, Policy)) {
	for _, n := range []int{1, 10_000} {
		policy := newPolicy(b, "latest", teamList(n, "quay.io/team%d"), teamList(n, "quay.io/team%[1]d=mirror.example/quay/team%[1]d"))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) { run(b, policy) })
	}
}

// teamList returns a comma-separated list of n items: the format with the numbers below n.
func teamList(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ",")
}
