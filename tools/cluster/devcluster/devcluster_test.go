package devcluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/kubernetes/scheme"
	admissionfake "k8s.io/client-go/kubernetes/typed/admissionregistration/v1/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/image/archive"
)

// Strictly decoded, so that a misspelt field is found here and not by kind.
func TestKindConfig(t *testing.T) {
	const etcd = "kind: ClusterConfiguration\netcd:\n  local:\n    extraArgs:\n    - name: unsafe-no-fsync\n      value: \"true\"\n"
	tests := []struct {
		name     string
		cgroupV1 bool
		patches  []string // of kubeadm's configuration
	}{
		{"cgroup v2", false, []string{etcd}},
		{"cgroup v1", true, []string{etcd, "kind: KubeletConfiguration\nfailCgroupV1: false\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var config v1alpha4.Cluster
			if err := yaml.UnmarshalStrict([]byte(kindConfig(test.cgroupV1)), &config); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.patches, config.KubeadmConfigPatches); diff != "" {
				t.Errorf("patches differ (-want +got):\n%s", diff)
			}
			hosts := []string{"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"}
			if diff := cmp.Diff(hosts, config.ContainerdConfigPatches); diff != "" {
				t.Errorf("patches of containerd's configuration differ (-want +got):\n%s", diff)
			}
			if len(config.Nodes) != 1 || config.Nodes[0].Role != v1alpha4.ControlPlaneRole {
				t.Errorf("nodes: %+v", config.Nodes)
			}
		})
	}
}

// What is waited for, and where the image is replaced, is found by file name.
func TestManifestsAreKnownByName(t *testing.T) {
	names := map[string]string{}
	for _, file := range deploy.Files() {
		names[file.Name] = file.Content
	}
	for name := range after {
		if names[name] == "" {
			t.Errorf("install waits after %s, which is not in deploy/", name)
		}
	}
	if got := ForDeployment("04-webhook.yaml", names["04-webhook.yaml"], "example.com/app:v1"); got == names["04-webhook.yaml"] {
		t.Errorf("04-webhook.yaml does not name %s", archive.StaticRef)
	}
}

// Status finds the configurations by name and knows how each must end.
func TestStatusShowsEveryWebhook(t *testing.T) {
	var got strings.Builder
	printRegistrations(t.Context(), fakeAdmission(t), &got)
	const ignore, fail = admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	want := "VALIDATING\t" + registration("validating.image-webhook.dev", ignore, nil, fail) + "\n" +
		"VALIDATING\t" + registration("warn.image-webhook.dev", ignore, nil, ignore) + "\n" +
		"VALIDATING\t" + registration("workloads.image-webhook.dev", ignore, nil, ignore) + "\n" +
		"VALIDATING\t" + registration("unknown-mode.image-webhook.dev", ignore, nil, ignore) + "\n" +
		"MUTATING\t" + registration("mutating.image-webhook.dev", ignore, nil, ignore) + "\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// fakeAdmission is an API that holds what 05-webhookconfigure.yaml registers.
func fakeAdmission(t *testing.T) *admissionfake.FakeAdmissionregistrationV1 {
	t.Helper()
	decoder := scheme.Codecs.UniversalDeserializer()
	tracker := clienttesting.NewObjectTracker(scheme.Scheme, decoder)
	for _, file := range deploy.Files() {
		if file.Name != "05-webhookconfigure.yaml" {
			continue
		}
		for document := range strings.SplitSeq(file.Content, "\n---\n") {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err == nil {
				err = tracker.Add(object)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	fake := &clienttesting.Fake{}
	fake.AddReactor("*", "*", clienttesting.ObjectReaction(tracker))
	return &admissionfake.FakeAdmissionregistrationV1{Fake: fake}
}

func TestWriteAtomicallyLeavesTheOldFileOnFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubectl")
	if err := os.WriteFile(path, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("the node went away")
	if err := writeAtomically(path, func(*os.File) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("writeAtomically returned %v", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "old" {
		t.Errorf("the file is now %q", content)
	}
}

func TestUninterruptedReturnsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	err := uninterrupted(ctx, func() error {
		cancel()
		<-release // kind goes on; nobody waits for it
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("uninterrupted returned %v", err)
	}
}
