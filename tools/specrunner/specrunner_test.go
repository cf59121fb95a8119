package specrunner

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
)

const anyCluster = `apiVersion: v1
kind: Config
current-context: there
contexts: [{name: there, context: {cluster: there, user: me}}]
clusters: [{name: there, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me}]
`

// Another cluster is refused before anything is changed in it.
func TestAnotherRefuses(t *testing.T) {
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "kubectl"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kubeconfig string // its content
		path       string // the PATH
		want       string // a part of the error
	}{
		"no kubectl":       {anyCluster, "/nowhere", "there is no kubectl on the PATH: eval \"$(bin/cluster env)\" brings the one of `make up`"},
		"no kubeconfig":    {"a b c", programs, "couldn't get version/kind"},
		"no context":       {strings.Replace(anyCluster, "current-context: there", "", 1), programs, `use the current context "" of `},
		"unknown context":  {strings.Replace(anyCluster, "current-context: there", "current-context: here", 1), programs, `use the current context "here" of `},
		"nobody who hears": {anyCluster, programs, "list the nodes of http://127.0.0.1:9: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(file, []byte(tt.kubeconfig), 0o600); err != nil {
				t.Fatal(err)
			}
			r := &run{Options: Options{Kubeconfig: file}}
			if _, err := r.another(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// A cluster with a node of another provider may be in use by others.
func TestMeant(t *testing.T) {
	node := func(name, provider string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: provider}}
	}
	for name, tt := range map[string]struct {
		nodes []runtime.Object
		any   string // ANY_CLUSTER
		want  string // the error; empty: it is meant
	}{
		"kind's":            {[]runtime.Object{node("a", "kind://podman/x/a")}, "", ""},
		"a node of another": {[]runtime.Object{node("a", "kind://podman/x/a"), node("b", "aws:///i-0")}, "", "the cluster at HOST: node b is none of kind's: set ANY_CLUSTER=1 if you mean this cluster"},
		"no node":           {nil, "", "the cluster at HOST: it has no nodes, so it is none of kind's: set ANY_CLUSTER=1 if you mean this cluster"},
		"it is said":        {[]runtime.Object{node("b", "aws:///i-0")}, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ANY_CLUSTER", tt.any)
			r := &run{report: progress.New(io.Discard)}
			got := ""
			if err := r.meant(t.Context(), "HOST", fake.NewClientset(tt.nodes...)); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestGinkgoArgs(t *testing.T) {
	ours := target{ours: &devcluster.Cluster{Name: "c"}}
	for name, tt := range map[string]struct {
		options Options
		on      target
		github  string
		want    []string // among the arguments
		not     []string
	}{
		"the suite on our cluster": {
			Options{Procs: 4}, ours, "",
			[]string{"--procs=4", "--label-filter=!record", "--focus=", "--no-color", "--randomize-all"}, []string{"--fail-fast", "--github-output"},
		},
		"some of it":      {Options{Focus: "a 'b'", Labels: "x || y"}, ours, "", []string{"--focus=a 'b'", "--label-filter=!record && (x || y)"}, nil},
		"another cluster": {Options{Labels: "x"}, target{}, "", []string{"--label-filter=!record && !dev-cluster && (x)"}, nil},
		"the recorder":    {Options{Record: true, Labels: "x"}, ours, "", []string{"--label-filter=record"}, nil},
		"to debug":        {Options{Debug: true}, ours, "", []string{"--fail-fast"}, nil},
		"in an action":    {Options{}, ours, "true", []string{"--github-output"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GITHUB_ACTIONS", tt.github)
			r := &run{Options: tt.options, stdout: &bytes.Buffer{}}
			args := r.ginkgoArgs(tt.on)
			for _, want := range tt.want {
				if !slices.Contains(args, want) {
					t.Errorf("no %s in %q", want, args)
				}
			}
			for _, not := range tt.not {
				if slices.Contains(args, not) {
					t.Errorf("%s in %q", not, args)
				}
			}
		})
	}
}

// What is told to type must not reach another cluster.
func TestWayIn(t *testing.T) {
	for name, want := range map[string]string{
		devcluster.DefaultName: `
The cluster is left as it is. To look at it:

    eval "$(bin/cluster env)"          # points kubectl at it
    kubectl get all -n image-webhook   # the webhook
    bin/cluster down                   # when done

`,
		"other": `
The cluster is left as it is. To look at it:

    eval "$(bin/cluster env --name=other)"   # points kubectl at it
    kubectl get all -n image-webhook         # the webhook
    bin/cluster down --name=other            # when done

`,
	} {
		var said bytes.Buffer
		r := &run{Options: Options{Name: name}, report: progress.New(&said)}
		r.wayIn(summary.Summary{})
		if diff := cmp.Diff(want, said.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
