package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

// manifest is a pod with an image.
func manifest(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: it}\nspec: {containers: [{name: web, image: '" + image + "'}]}\n"
}

// writeFiles writes files into a new working directory.
func writeFiles(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckExitCodes(t *testing.T) {
	const violation = `bad.yaml:4:40: pod/it: spec.containers[0].image: image "nginx": no tag means tag "latest", which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)` + "\n"
	const problem = "broken.yaml:1: error: invalid YAML: did not find expected node content: check the quotes and the indentation near this line\n"
	writeFiles(t, map[string]string{"good.yaml": manifest("nginx:1"), "bad.yaml": manifest("nginx"), "broken.yaml": "a: [\n"})
	for _, tt := range []struct {
		files []string
		want  clitest.Result
	}{
		{[]string{"good.yaml"}, clitest.Result{Stdout: "checked 1 image in 1 file: 1 is allowed\n"}},
		{[]string{"good.yaml", "bad.yaml"}, clitest.Result{Code: 1, Stdout: violation + "checked 2 images in 2 files: 1 is not allowed\n"}},
		{[]string{"broken.yaml", "bad.yaml"}, clitest.Result{Code: 2, Stdout: problem + violation + "checked 1 image in 2 files: 1 is not allowed; incomplete because of 1 error\n"}},
	} {
		if diff := cmp.Diff(tt.want, runCommand(t, append([]string{"check"}, tt.files...)...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.files, diff)
		}
	}
}

func TestCheckReadsThePolicyFileOrFlags(t *testing.T) {
	writeFiles(t, map[string]string{
		"pod.yaml":    manifest("nginx:dev"),
		"policy.yaml": "apiVersion: image-webhook.dev/v1alpha1\nkind: ImagePolicy\nmirrors: [{source: docker.io, mirror: m.example}]\ndisallowedTags: [dev]\n",
	})
	for _, args := range [][]string{{"--config=policy.yaml"}, {"--disallowed-tags=dev", "--registry-mirrors=m.example"}} {
		got := runCommand(t, append([]string{"check", "pod.yaml"}, args...)...)
		if !strings.Contains(got.Stdout, `(mirrored to "m.example/library/nginx:dev"): tag "dev" is not allowed`) || got.Code != 1 {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}

func TestEveryFormatHasTheViolation(t *testing.T) {
	writeFiles(t, map[string]string{"bad.yaml": manifest("nginx")})
	for _, format := range []string{"text", "json", "sarif", "github", "junit"} {
		got := runCommand(t, "check", "bad.yaml", "--output="+format)
		if !strings.Contains(got.Stdout, "use a fixed tag such as nginx:1.2.3") || got.Code != 1 {
			t.Errorf("%s: got %+v", format, got)
		}
	}
}

// startRegistry starts a registry with an image and returns its address.
func startRegistry(t *testing.T, repository string) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(address + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, empty.Image); err != nil {
		t.Fatal(err)
	}
	return address
}

func TestAskMirrors(t *testing.T) {
	mirror := startRegistry(t, "library/nginx:1")
	writeFiles(t, map[string]string{"a.yaml": manifest("nginx:1") + "---\n" + manifest("redis:7") + "---\n" + manifest("quay.io/a:1") + "---\n" + manifest("quay.io/b:1")})
	mirrors := "--registry-mirrors=docker.io=" + mirror
	want := clitest.Result{Code: 1, Stdout: "missing docker.io/library/redis:7 " + mirror + "/library/redis:7\n" +
		"checked 4 images in 1 file: 4 are allowed, 1 is missing on its mirror\n"}
	if diff := cmp.Diff(want, runCommand(t, "check", "a.yaml", "--ask-mirrors", mirrors)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	var report struct {
		Missing []struct{ File, From, To string }
		Summary struct{ Missing, Problems int }
	}
	got := runCommand(t, "check", "a.yaml", "--ask-mirrors", mirrors+",quay.io=127.0.0.1:1/quay", "-o", "json")
	if err := json.Unmarshal([]byte(got.Stdout), &report); err != nil || got.Code != 2 {
		t.Fatalf("exit code %d, %v:\n%s", got.Code, err, got.Stdout)
	}
	if report.Summary.Missing != 1 || report.Summary.Problems != 1 {
		t.Errorf("%d images are missing and %d problems, want 1 and 1:\n%s", report.Summary.Missing, report.Summary.Problems, got.Stdout)
	}
	if !strings.Contains(got.Stdout, `cannot ask for \"127.0.0.1:1/quay/a:1\" and 1 other image: `) {
		t.Errorf("the problem does not name its images:\n%s", got.Stdout)
	}
}
