package devcluster

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/kubernetes/scheme"
	admissionfake "k8s.io/client-go/kubernetes/typed/admissionregistration/v1/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

// Strictly decoded, so that a misspelt field is found here and not by kind.
func TestKindConfig(t *testing.T) {
	const list = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  local:\n    extraArgs:\n    - name: unsafe-no-fsync\n      value: \"true\"\n"
	const maps = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta3\netcd:\n  local:\n    extraArgs:\n      unsafe-no-fsync: \"true\"\n"
	tests := []struct {
		name     string
		cgroupV1 bool
		patches  []string // of kubeadm's configuration
	}{
		{"cgroup v2", false, []string{list, maps}},
		{"cgroup v1", true, []string{list, maps, "kind: KubeletConfiguration\nfailCgroupV1: false\n"}},
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
	for name, content := range names {
		got := ForDeployment(name, content, "example.com/app:v1", "--log-level=debug")
		if (got == content) != (name != deployment) {
			t.Errorf("%s: it is changed: %t", name, got != content)
		}
		if name == deployment && (strings.Contains(got, webhookimage.StaticRef) || !strings.Contains(got, "- serve\n            - --log-level=debug\n")) {
			t.Errorf("%s has another image, or not the flag:\n%s", name, got)
		}
	}
}

// Status finds the configurations by name and knows how each must end.
func TestStatusShowsEveryWebhook(t *testing.T) {
	var got strings.Builder
	printRegistrations(t.Context(), fakeAdmission(t), &got)
	const ignore, fail = admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	want := "VALIDATING\t" + registration{"VALIDATING", "validating.image-webhook.dev", ignore, fail, nil}.String() + "\n" +
		"VALIDATING\t" + registration{"VALIDATING", "warn.image-webhook.dev", ignore, ignore, nil}.String() + "\n" +
		"VALIDATING\t" + registration{"VALIDATING", "workloads.image-webhook.dev", ignore, ignore, nil}.String() + "\n" +
		"VALIDATING\t" + registration{"VALIDATING", "unknown-mode.image-webhook.dev", ignore, ignore, nil}.String() + "\n" +
		"MUTATING\t" + registration{"MUTATING", "mutating.image-webhook.dev", ignore, ignore, nil}.String() + "\n"
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

// Every version that can be asked for has its own image, and the newest is kind's
// default: another kind has other images, which its release notes list.
func TestPublishedImages(t *testing.T) {
	minors, err := kubebuild.Minors("../..")
	if err != nil {
		t.Fatal(err)
	}
	newest := minors[len(minors)-1]
	if got := published[newest]; got != defaults.Image {
		t.Errorf("the image of %s is %s, and kind's default is %s: take all of them from the notes of kind's release", newest, got, defaults.Image)
	}
	if diff := cmp.Diff(minors, slices.Sorted(maps.Keys(published))); diff != "" {
		t.Errorf("versions (-pinned +published):\n%s", diff)
	}
	for minor, image := range published {
		want := regexp.MustCompile(`^kindest/node:v` + regexp.QuoteMeta(minor) + `\.[0-9]+@sha256:[0-9a-f]{64}$`)
		if !want.MatchString(image) {
			t.Errorf("the image of %s is %s", minor, image)
		}
	}
}

// A cluster that is up is used if it is of the version that is asked for.
func TestRefuseOther(t *testing.T) {
	const other = "cluster dev is up with Kubernetes v1.36.3, not 1.37: delete it first with `bin/cluster down --name=dev`, " +
		"or set K8S (or KIND_NODE_IMAGE) as it was when the cluster was made"
	tests := []struct {
		running, minor string
		want           string // empty: it is used
	}{
		{"v1.37.1", "1.37", ""},
		{"v1.37.0-rc.1", "1.37", ""},
		{"v1.36.3", "1.36", ""},
		{"v1.36.3", "1.37", other},
	}
	for _, tt := range tests {
		got := ""
		if err := (&Cluster{Name: "dev"}).refuseOther(tt.running, tt.minor); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s where %s is asked for: got %q, want %q", tt.running, tt.minor, got, tt.want)
		}
	}
}

// What K8S or KIND_NODE_IMAGE says is read before anything is looked for or made.
func TestNodeImage(t *testing.T) {
	tests := []struct {
		name, k8s, image string // the variables
		want, err        string
	}{
		{"an image is named", "1.30", "example.com/node:v1", "example.com/node:v1", ""},
		{"no such version", "1.30", "", "", `K8S: unknown Kubernetes version "1.30": use `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("K8S", tt.k8s)
			t.Setenv("KIND_NODE_IMAGE", tt.image)
			c := &Cluster{report: progress.New(io.Discard), root: "../.."}
			got, err := c.nodeImage(t.Context())
			said := ""
			if err != nil {
				said = err.Error()
			}
			if got != tt.want || tt.err == "" && err != nil || !strings.HasPrefix(said, tt.err) {
				t.Errorf("got %q, %q", got, said)
			}
		})
	}
}

// An installation that is finished, of these very manifests, need not be made again.
func TestFinishedOf(t *testing.T) {
	const ignore, fail = admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	ca := []byte("ca")
	all := []registration{{"VALIDATING", "v", fail, fail, ca}, {"MUTATING", "m", ignore, ignore, ca}}
	for name, tt := range map[string]struct {
		annotation    string
		registrations []registration
		want          bool
	}{
		"finished":           {manifestsHash(), all, true},
		"other manifests":    {"0f3a", all, false},
		"never finished":     {"", all, false},
		"nothing registered": {manifestsHash(), nil, false},
		"not binding":        {manifestsHash(), []registration{{"VALIDATING", "v", ignore, fail, ca}}, false},
		"without the CA":     {manifestsHash(), []registration{all[0], {"MUTATING", "m", ignore, ignore, nil}}, false},
	} {
		if got := finishedOf(tt.annotation, tt.registrations); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
