package devcluster

import (
	"context"
	"errors"
	"fmt"
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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/engine"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

func TestKindConfigHasNodesAndPatches(t *testing.T) {
	const cluster = "kind: ClusterConfiguration\napiServer:\n  extraArgs:\n    enable-admission-plugins: NodeRestriction,DenyServiceExternalIPs\n" +
		"etcd:\n  local:\n    extraArgs:\n      unsafe-no-fsync: \"true\"\n"
	const staticArgs = "    admission-control-config-file: /etc/kubernetes/image-webhook/admission.yaml\n    feature-gates: ManifestBasedAdmissionControlConfig=true\n" +
		"  extraVolumes:\n  - name: image-webhook\n    hostPath: /etc/kubernetes/image-webhook\n    mountPath: /etc/kubernetes/image-webhook\n    readOnly: true\n"
	const noTaint = "kind: InitConfiguration\nnodeRegistration:\n  taints: []\n"
	const worker, controlPlane = v1alpha4.WorkerRole, v1alpha4.ControlPlaneRole
	tests := []struct {
		name     string
		nodes    int
		cgroupV1 bool
		static   string
		roles    []v1alpha4.NodeRole
		patches  []string // for kubeadm's configuration
	}{
		{"one node", 1, false, "", []v1alpha4.NodeRole{controlPlane}, []string{cluster}},
		{"three nodes", 3, false, "", []v1alpha4.NodeRole{controlPlane, worker, worker}, []string{cluster, noTaint}},
		{"cgroup v1", 1, true, "", []v1alpha4.NodeRole{controlPlane}, []string{cluster, "kind: KubeletConfiguration\nfailCgroupV1: false\n"}},
		{"static files", 1, false, "/a b/static", []v1alpha4.NodeRole{controlPlane}, []string{strings.Replace(cluster, "etcd:\n", staticArgs+"etcd:\n", 1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var config v1alpha4.Cluster
			if err := yaml.UnmarshalStrict([]byte(kindConfig(test.nodes, test.cgroupV1, test.static)), &config); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.patches, config.KubeadmConfigPatches); diff != "" {
				t.Errorf("patches differ (-want +got):\n%s", diff)
			}
			hosts := []string{"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"}
			if diff := cmp.Diff(hosts, config.ContainerdConfigPatches); diff != "" {
				t.Errorf("patches of containerd's configuration differ (-want +got):\n%s", diff)
			}
			if mounts := config.Nodes[0].ExtraMounts; (len(mounts) == 1 && mounts[0].HostPath == test.static) != (test.static != "") {
				t.Errorf("mounts of the control-plane node: %v, want %q", mounts, test.static)
			}
			var roles []v1alpha4.NodeRole
			for _, node := range config.Nodes {
				roles = append(roles, node.Role)
			}
			if diff := cmp.Diff(test.roles, roles); diff != "" {
				t.Errorf("nodes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestedNodesReadsNODES(t *testing.T) {
	for value, want := range map[string]int{"": 0, "1": 1, "5": 5} {
		t.Setenv("NODES", value)
		if got, err := requestedNodes(); got != want || err != nil {
			t.Errorf("NODES=%s: got %d, %v, want %d", value, got, err, want)
		}
	}
	for _, value := range []string{"0", "6", "-1", "two", "2.5"} {
		t.Setenv("NODES", value)
		want := fmt.Sprintf("invalid NODES %q: use a number from 1 to 5", value)
		if _, err := requestedNodes(); err == nil || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func TestCheckNodesComparesAnExplicitNumber(t *testing.T) {
	const mismatch = "use cluster dev with NODES=2: it has NODES=1: delete it with `bin/cluster down --name=dev`, or set NODES as when it was created"
	for _, tt := range []struct {
		running, requested int
		want               string // empty: the cluster is used
	}{
		{1, 0, ""}, {3, 0, ""}, {2, 2, ""}, {1, 2, mismatch},
	} {
		got := ""
		if err := (&Cluster{Name: "dev"}).checkNodes(tt.running, tt.requested); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%d nodes run, %d are requested: got %q, want %q", tt.running, tt.requested, got, tt.want)
		}
	}
}

func TestRoutesNameEachNodeAndItsPods(t *testing.T) {
	node := func(name, pods string) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: pods}}
	}
	got := routeLines([]corev1.Node{node("dev-control-plane", "10.244.0.0/24"), node("dev-worker", "10.244.1.0/24")})
	if want := "dev-control-plane 10.244.0.0/24\ndev-worker 10.244.1.0/24\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyDeploymentsAreCustomized(t *testing.T) {
	deployments := map[string]string{"04-webhook.yaml": "webhook", "04-controller.yaml": "namespace-owner"}
	for _, step := range slices.Concat(deploy.Steps(), deploy.NamespaceOwnerSteps()) {
		if got := deploymentName(step); got != deployments[step.Name] || waitsForRollout(step) != (got != "") {
			t.Errorf("%s: waits for the rollout of Deployment %q, want %q", step.Name, got, deployments[step.Name])
		} else if got == "" {
			continue
		}
		got := CustomizeDeployment(step.Content, "example.com/app:v1", "--log-level=debug")
		if strings.Contains(got, webhookimage.StaticRef) || !strings.Contains(got, "image: example.com/app:v1\n") {
			t.Errorf("%s does not have the image:\n%s", step.Name, got)
		}
		if hasFlag := strings.Contains(got, "- serve\n            - --log-level=debug\n"); hasFlag != (step.Name == "04-webhook.yaml") {
			t.Errorf("%s: only the webhook has the flag: %t:\n%s", step.Name, hasFlag, got)
		}
	}
}

func TestOpenDoesNotProbeTheRecordedEngine(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("ENGINE", "")
	bin := t.TempDir()
	called := filepath.Join(bin, "called")
	script := "#!/bin/sh\necho \"$0 $*\" >>" + called + "\nexit 1\n"
	for _, name := range []string{engine.Docker, engine.Podman} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, name := range []string{engine.Docker, engine.Podman} {
		dir, err := workspace.CacheDir("cluster", name)
		if err != nil {
			t.Fatal(err)
		}
		recorded := &Cluster{Engine: &engine.Engine{Name: name}, dir: dir}
		if err := recorded.writeEngineFile(); err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), name, progress.New(io.Discard))
		if err != nil || c.Engine.Name != name {
			t.Errorf("opened with %v, %v, want %s", c, err, name)
		}
	}
	if calls, err := os.ReadFile(called); err == nil {
		t.Errorf("Open called:\n%s", calls)
	}
	t.Setenv("ENGINE", engine.Podman) // another engine than the recorded one is tested
	if _, err := Open(t.Context(), engine.Docker, progress.New(io.Discard)); err == nil {
		t.Error("opened with an engine that does not work")
	}
}

func TestUntilDoneReturnsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	err := untilDone(ctx, func() error {
		cancel()
		<-release // kind continues in the background
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("untilDone returned %v", err)
	}
}

func TestKindNodeImagesMatchTheRelease(t *testing.T) {
	// The image of the newest version is kind's default, so an update of kind fails this test.
	minors, err := kubebuild.Minors("../..")
	if err != nil {
		t.Fatal(err)
	}
	newest := minors[len(minors)-1]
	if got := kindNodeImages[newest]; got != defaults.Image {
		t.Errorf("image of Kubernetes %s is %s, but kind's default is %s: copy all images from the release notes of kind", newest, got, defaults.Image)
	}
	if diff := cmp.Diff(minors, slices.Sorted(maps.Keys(kindNodeImages))); diff != "" {
		t.Errorf("versions (-supported +kindNodeImages):\n%s", diff)
	}
	for minor, image := range kindNodeImages {
		want := regexp.MustCompile(`^kindest/node:v` + regexp.QuoteMeta(minor) + `\.[0-9]+@sha256:[0-9a-f]{64}$`)
		if !want.MatchString(image) {
			t.Errorf("image of Kubernetes %s is %s, want it to match %s", minor, image, want)
		}
	}
}

func TestCheckReleaseComparesMinorVersions(t *testing.T) {
	const mismatch = "use cluster dev with Kubernetes 1.37: it runs Kubernetes v1.36.3: delete it with `bin/cluster down --name=dev`, " +
		"or set K8S or KIND_NODE_IMAGE as when it was created"
	tests := []struct {
		running, minor string
		want           string // empty: the cluster is used
	}{
		{"v1.37.1", "1.37", ""},
		{"v1.37.0-rc.1", "1.37", ""},
		{"v1.36.3", "1.36", ""},
		{"v1.36.3", "1.37", mismatch},
	}
	for _, tt := range tests {
		got := ""
		if err := (&Cluster{Name: "dev"}).checkRelease(tt.running, tt.minor); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s runs, %s is requested: got %q, want %q", tt.running, tt.minor, got, tt.want)
		}
	}
}

func TestNodeImageReadsVariablesBeforePulling(t *testing.T) {
	tests := []struct {
		name, k8s, image string // K8S, KIND_NODE_IMAGE
		want, err        string
	}{
		{"image", "1.30", "example.com/node:v1", "example.com/node:v1", ""},
		{"unknown version", "1.30", "", "", `K8S: unknown Kubernetes version "1.30": use `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("K8S", tt.k8s)
			t.Setenv("KIND_NODE_IMAGE", tt.image)
			c := &Cluster{report: progress.New(io.Discard), root: "../.."}
			got, err := c.nodeImage(t.Context())
			message := ""
			if err != nil {
				message = err.Error()
			}
			if got != tt.want || tt.err == "" && err != nil || !strings.HasPrefix(message, tt.err) {
				t.Errorf("got %q, error %q, want %q, error that starts with %q", got, message, tt.want, tt.err)
			}
		})
	}
}

func TestIsCompleteChecksManifestsAndRegistrations(t *testing.T) {
	const ignore, fail = admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	ca := []byte("ca")
	complete := []registration{{fail, fail, ca}, {ignore, ignore, ca}}
	for name, tt := range map[string]struct {
		annotation    string
		registrations []registration
		want          bool
	}{
		"complete":           {manifestsHash(false), complete, true},
		"other manifests":    {"0f3a", complete, false},
		"another form":       {manifestsHash(true), complete, false},
		"never completed":    {"", complete, false},
		"nothing registered": {manifestsHash(false), nil, false},
		"not binding":        {manifestsHash(false), []registration{{ignore, fail, ca}}, false},
		"without the CA":     {manifestsHash(false), []registration{complete[0], {ignore, ignore, nil}}, false},
	} {
		if got := isComplete(tt.annotation, false, tt.registrations); got != tt.want {
			t.Errorf("%s: isComplete is %t, want %t", name, got, tt.want)
		}
	}
}

func TestHasOnlyFormFindsWhatTheOtherFormHasLeft(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "image-webhook"}
	webhook := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}
	for _, tt := range []struct {
		name            string
		objects         []runtime.Object
		webhook, hybrid bool // whether the cluster has only this form
	}{
		{"nothing", nil, false, false},
		{"webhook", []runtime.Object{webhook}, true, false},
		{"policy", []runtime.Object{policy, binding}, false, true},
		{"policy without a binding", []runtime.Object{policy}, false, false},
		{"both", []runtime.Object{webhook, policy, binding}, false, false},
	} {
		admission := fake.NewClientset(tt.objects...).AdmissionregistrationV1()
		for hybrid, want := range map[bool]bool{false: tt.webhook, true: tt.hybrid} {
			if got := hasOnlyForm(t.Context(), hybrid, admission); got != want {
				t.Errorf("%s: has only the form (hybrid: %t): %t, want %t", tt.name, hybrid, got, want)
			}
		}
	}
}

func TestHybridFormIsRequestedOrRecorded(t *testing.T) {
	c := &Cluster{dir: t.TempDir()}
	for _, tt := range []struct {
		requested string
		recorded  bool
		want      bool
	}{
		{"", false, false}, {"", true, true}, {"1", false, true}, {"0", true, false},
	} {
		t.Setenv("HYBRID", tt.requested)
		if err := c.recordForm(tt.recorded); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Hybrid(); got != tt.want || err != nil {
			t.Errorf("HYBRID=%s, recorded: %t: got %t, %v", tt.requested, tt.recorded, got, err)
		}
	}
	t.Setenv("HYBRID", "yes")
	if _, err := c.Hybrid(); err == nil || err.Error() != `invalid HYBRID "yes": use 1 or 0, or unset it` {
		t.Errorf("got error %v", err)
	}
}
