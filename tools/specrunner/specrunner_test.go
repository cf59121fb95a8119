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

const foreignKubeconfig = `apiVersion: v1
kind: Config
current-context: there
contexts: [{name: there, context: {cluster: there, user: me}}]
clusters: [{name: there, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me}]
`

func TestFindForeignClusterRefuses(t *testing.T) {
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "kubectl"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kubeconfig string // content of the file
		path       string // PATH
		want       string // part of the error
	}{
		"no kubectl":         {foreignKubeconfig, "/nowhere", "kubectl is not on the PATH: run `make up`, then eval \"$(bin/cluster env)\""},
		"invalid kubeconfig": {"a b c", programs, "couldn't get version/kind"},
		"no context":         {strings.Replace(foreignKubeconfig, "current-context: there", "", 1), programs, `use current context "" of kubeconfig "`},
		"unknown context":    {strings.Replace(foreignKubeconfig, "current-context: there", "current-context: here", 1), programs, `use current context "here" of kubeconfig "`},
		"no answer":          {foreignKubeconfig, programs, `list the nodes of cluster "http://127.0.0.1:9": `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(file, []byte(tt.kubeconfig), 0o600); err != nil {
				t.Fatal(err)
			}
			r := &run{Options: Options{Kubeconfig: file}}
			if _, err := r.findForeignCluster(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestCheckAllowedRefusesForeignClusters(t *testing.T) {
	node := func(name, provider string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: provider}}
	}
	for name, tt := range map[string]struct {
		nodes      []runtime.Object
		anyCluster string // ANY_CLUSTER
		want       string // the error; empty: allowed
	}{
		"kind":         {[]runtime.Object{node("a", "kind://podman/x/a")}, "", ""},
		"foreign node": {[]runtime.Object{node("a", "kind://podman/x/a"), node("b", "aws:///i-0")}, "", `node "b" of cluster "HOST" was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway`},
		"no nodes":     {nil, "", `cluster "HOST" has no nodes, so it was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway`},
		"ANY_CLUSTER":  {[]runtime.Object{node("b", "aws:///i-0")}, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ANY_CLUSTER", tt.anyCluster)
			r := &run{report: progress.New(io.Discard)}
			got := ""
			if err := r.checkAllowed(t.Context(), "HOST", fake.NewClientset(tt.nodes...)); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGinkgoArgsMatchOptions(t *testing.T) {
	kind := target{kind: &devcluster.Cluster{Name: "c"}}
	for name, tt := range map[string]struct {
		options  Options
		cluster  target
		github   string   // GITHUB_ACTIONS
		want     []string // arguments
		unwanted []string // not arguments
	}{
		"kind cluster": {
			Options{Procs: 4}, kind, "",
			[]string{"--procs=4", "--label-filter=!record", "--focus=", "--no-color", "--randomize-all"}, []string{"--fail-fast", "--github-output"},
		},
		"focus and labels": {Options{Focus: "a 'b'", Labels: "x || y"}, kind, "", []string{"--focus=a 'b'", "--label-filter=!record && (x || y)"}, nil},
		"foreign cluster":  {Options{Labels: "x"}, target{}, "", []string{"--label-filter=!record && !dev-cluster && (x)"}, nil},
		"record":           {Options{Record: true, Labels: "x"}, kind, "", []string{"--label-filter=record"}, nil},
		"debug":            {Options{Debug: true}, kind, "", []string{"--fail-fast"}, nil},
		"GitHub Actions":   {Options{}, kind, "true", []string{"--github-output"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GITHUB_ACTIONS", tt.github)
			r := &run{Options: tt.options, stdout: &bytes.Buffer{}}
			args := r.ginkgoArgs(tt.cluster)
			for _, want := range tt.want {
				if !slices.Contains(args, want) {
					t.Errorf("no %s in %q", want, args)
				}
			}
			for _, flag := range tt.unwanted {
				if slices.Contains(args, flag) {
					t.Errorf("unexpected %s in %q", flag, args)
				}
			}
		})
	}
}

func TestNextCommandsNameCluster(t *testing.T) {
	for name, want := range map[string]string{
		devcluster.DefaultName: `
The cluster is kept. To inspect it:

    eval "$(bin/cluster env)"          # point kubectl at the cluster
    kubectl get all -n image-webhook   # the webhook
    bin/cluster down                   # delete the cluster

`,
		"other": `
The cluster is kept. To inspect it:

    eval "$(bin/cluster env --name=other)"   # point kubectl at the cluster
    kubectl get all -n image-webhook         # the webhook
    bin/cluster down --name=other            # delete the cluster

`,
	} {
		var output bytes.Buffer
		r := &run{Options: Options{Name: name}, report: progress.New(&output)}
		r.printNextCommands(summary.Summary{})
		if diff := cmp.Diff(want, output.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
