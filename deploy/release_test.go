package deploy_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		want = append(want, loadFile(t, deploy.File{Content: withoutMirrors(content)})...)
	}
	if diff := cmp.Diff(want, loadFile(t, deploy.File{Content: string(printed)}), cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("(-manifests +release):\n%s", diff)
	}
	if got := strings.Count(string(printed), "image: "+image+"\n"); got != 6 {
		t.Errorf("%d containers have the release's image, want 6", got)
	}
	if strings.Contains(string(printed), "\n            - --registry-mirrors") {
		t.Error("the example mirrors are active")
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

func withoutMirrors(content string) string {
	var kept strings.Builder
	for line := range strings.Lines(content) {
		if !strings.HasPrefix(strings.TrimSpace(line), "- --registry-mirrors=") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
