package staticfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckVersionRefusesVersionsWithoutFiles(t *testing.T) {
	for minor, want := range map[string]string{
		"1.35": "use static files: Kubernetes 1.35 reads none: set K8S=1.36 or newer",
		"1.36": "",
		"1.37": "",
	} {
		got := ""
		if err := CheckVersion(minor); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Kubernetes %s: got the error %q, want %q", minor, got, want)
		}
	}
}

func TestWriteNamesTheDirectoryOfTheAPIServer(t *testing.T) {
	directory := Directory(filepath.Join(t.TempDir(), "kubeconfig"))
	for range 2 { // the files of an earlier start are replaced
		if err := Write(directory, "/on/the/node"); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"admission.yaml":                "staticManifestsDir: /on/the/node/validating\n",
		"validating/image-webhook.yaml": "kubernetes-admin",
		"mutating/image-webhook.yaml":   "name: image-webhook.static.k8s.io\n",
	} {
		content, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s has no %q: %v\n%s", file, want, err, content)
		}
	}
}
