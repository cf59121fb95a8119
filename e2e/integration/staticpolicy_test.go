package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

// The files that `kubectl image-webhook policy --static` writes, on API servers that read them.

// staticServer is an API server that reads policies from files.
type staticServer struct {
	*testServer
	files string // their directory
}

// staticFlags returns the flags of an API server that reads policies from files. It skips the test on a
// Kubernetes version that cannot.
func staticFlags(t *testing.T, directory string) map[string][]string {
	t.Helper()
	version, err := kubebuild.FindFromEnvironment(root)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string][]string{"admission-control-config-file": {filepath.Join(directory, "admission.yaml")}}
	switch version.Minor {
	case "1.35":
		t.Skip("Kubernetes 1.35 reads no policies from files")
	case "1.36":
		flags["feature-gates"] = []string{"ManifestBasedAdmissionControlConfig=true"}
	}
	return flags
}

// startStaticServer starts an API server with the files of a policy file. Without one, its directories are
// empty.
func startStaticServer(t *testing.T, policy string) *staticServer {
	t.Helper()
	s := &staticServer{files: filepath.Join(t.TempDir(), "static")}
	s.writeFiles(t, policy)
	if policy == "" {
		s.empty(t)
	}
	s.start(t)
	return s
}

// start starts the API server with the files.
func (s *staticServer) start(t *testing.T) {
	t.Helper()
	flags := staticFlags(t, s.files)
	var err error
	if s.testServer, err = startServer(func(string) (map[string][]string, error) { return flags, nil }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
}

// writeFiles writes the files for a policy file.
func (s *staticServer) writeFiles(t *testing.T, policy string, args ...string) {
	t.Helper()
	if policy == "" {
		policy = staticPolicy
	}
	runPolicy(t, policy, append(args, "--static="+s.files, "--static-path="+s.files)...)
}

// empty removes all objects from the directories.
func (s *staticServer) empty(t *testing.T) {
	t.Helper()
	for _, directory := range []string{"mutating", "mutating-webhooks", "validating-webhooks", "validating"} {
		if err := os.Remove(filepath.Join(s.files, directory, "image-webhook.yaml")); err != nil {
			t.Fatal(err)
		}
	}
}

// staticPolicy is a policy file that mirrors nginx.
const staticPolicy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors:
  - {source: docker.io, mirror: docker.mirror.example}
`

// state is what the API server does with pods: "judges", "admits nginx:latest", or the error.
func (s *testServer) state(ctx context.Context) string {
	pod := func(image string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "state-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	_, err := s.client.CoreV1().Pods("default").Create(ctx, pod("nginx:latest"), dryRun)
	if err == nil {
		return "admits"
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'image-webhook.static.k8s.io'") {
		return err.Error()
	}
	stored, err := s.client.CoreV1().Pods("default").Create(ctx, pod("nginx:1.25"), dryRun)
	switch {
	case err != nil:
		return err.Error()
	case stored.Spec.Containers[0].Image != "docker.mirror.example/library/nginx:1.25":
		return "denies, but stores " + stored.Spec.Containers[0].Image
	}
	return "judges"
}

// waitForState waits until the API server does this with pods.
func (s *testServer) waitForState(t *testing.T, want string) {
	t.Helper()
	got := ""
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		got = s.state(ctx)
		return got == want, nil
	})
	if err != nil {
		t.Fatalf("the API server %s, want %s: %v", got, want, err)
	}
}
