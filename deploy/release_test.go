package deploy_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

func TestReleaseManifestsFollowTheOrder(t *testing.T) {
	const image = "registry.example/image-webhook:v1.2.3@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	printed, err := exec.CommandContext(t.Context(), "../scripts/release-manifests.sh", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []object
	for _, file := range deploy.Files() {
		content := strings.ReplaceAll(file.Content, webhookimage.StaticRef, image)
		want = append(want, loadFile(t, deploy.File{Content: withoutMirrors(t, content)})...)
	}
	if diff := cmp.Diff(want, loadFile(t, deploy.File{Content: string(printed)}), cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("(-manifests +release):\n%s", diff)
	}
	if got := strings.Count(string(printed), "image: "+image+"\n"); got != 6 {
		t.Errorf("%d containers have the release's image, want 6", got)
	}
	if got := policyOf(t, loadFile(t, deploy.File{Content: string(printed)})); len(got.Mirrors) > 0 {
		t.Errorf("the example mirrors are active: %v", got.Mirrors)
	}
}

func TestReleaseHasTheNamespaceOwnerManifests(t *testing.T) {
	const image = "registry.example/image-webhook:v1.2.3"
	printed, err := exec.CommandContext(t.Context(), "../scripts/release-manifests.sh", image, deploy.NamespaceOwner).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []object
	for _, file := range deploy.NamespaceOwnerFiles() {
		want = append(want, loadFile(t, deploy.File{Content: strings.ReplaceAll(file.Content, webhookimage.StaticRef, image)})...)
	}
	if diff := cmp.Diff(want, loadFile(t, deploy.File{Content: string(printed)}), cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("(-manifests +release):\n%s", diff)
	}
	if got := strings.Count(string(printed), "image: "+image+"\n"); got != 2 {
		t.Errorf("%d containers have the release's image, want 2", got)
	}
}

func TestReleaseMirrorsCanBeUncommented(t *testing.T) {
	printed, err := exec.CommandContext(t.Context(), "../scripts/release-manifests.sh", "registry.example/image-webhook:v1").Output()
	if err != nil {
		t.Fatal(err)
	}
	commented := regexp.MustCompile(`(?m)^    # (mirrors:|  - source: |    mirror: )`)
	if got := len(commented.FindAllString(string(printed), -1)); got != 5 {
		t.Errorf("%d lines of the mirrors are commented out, want 5", got)
	}
	uncommented := commented.ReplaceAllString(string(printed), "    $1")
	got := objectOfType[*corev1.ConfigMap](t, loadFile(t, deploy.File{Content: uncommented}))
	if diff := cmp.Diff(objectOfType[*corev1.ConfigMap](t, load(t)), got); diff != "" {
		t.Errorf("ConfigMap (-manifest +uncommented release):\n%s", diff)
	}
}

// withoutMirrors comments the example mirrors out, in the policy file of a manifest.
func withoutMirrors(t *testing.T, content string) string {
	t.Helper()
	const mirrors = `    mirrors:
      - source: docker.io
        mirror: docker.mirror.example
      - source: registry.k8s.io
        mirror: k8s.mirror.example
`
	if strings.Contains(content, "kind: ConfigMap") != strings.Contains(content, mirrors) {
		t.Error("the policy file does not have the example mirrors")
	}
	var commented strings.Builder
	for line := range strings.Lines(mirrors) {
		commented.WriteString("    # " + strings.TrimPrefix(line, "    "))
	}
	return strings.Replace(content, mirrors, commented.String(), 1)
}
