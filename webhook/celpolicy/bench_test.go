package celpolicy

import (
	"fmt"
	"testing"
)

// BenchmarkPolicies evaluates the policies for new pods with allowed images, as the API server does.
func BenchmarkPolicies(b *testing.B) {
	for _, p := range []struct{ name, text, image string }{
		{"mirrors", policies["mirrors"], "docker.mirror.example/library/nginx-%d:1.25"},
		{"50 items in each list", longPolicy(50), "mirror.example/source-1/nginx-%d:1.25"},
	} {
		e := newEngine(b, p.text)
		for _, containers := range []int{1, 3, 100} {
			var images []string
			for i := range containers {
				images = append(images, fmt.Sprintf(p.image, i))
			}
			pod := podOf(images)
			name := fmt.Sprintf("%s/containers=%d", p.name, containers)
			b.Run("deny/"+name, func(b *testing.B) {
				for b.Loop() {
					if message, _, err := e.pods.evaluate(newRequest(pod, nil)); err != nil || message != "" {
						b.Fatal(message, err)
					}
				}
			})
			b.Run("mirror/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := e.change.evaluate(newRequest(pod, nil)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
