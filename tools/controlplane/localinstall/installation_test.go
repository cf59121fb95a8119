package localinstall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const root = "../../.."

// startServer starts an API server of the version that K8S chooses.
func startServer(t *testing.T) *apiserver.Server {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	s, err := apiserver.Start(t.Context(), apiserver.Options{Programs: programs}, progress.New(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestInstallation(t *testing.T) {
	s := startServer(t)
	programs := t.TempDir()
	if err := Build(t.Context(), root, programs, progress.New(io.Discard)); err != nil {
		t.Fatal(err)
	}
	log := &servertest.LockedBuffer{}
	o := Options{Server: s, Programs: programs, NamespaceOwner: deploy.NamespaceOwnerFiles(), Log: log}
	i, err := Install(t.Context(), o, progress.New(os.Stderr))
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { _ = i.Stop() })
	t.Run("does the work of the Jobs", func(t *testing.T) {
		jobs, err := i.client.BatchV1().Jobs("image-webhook").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(jobs.Items) > 0 {
			t.Errorf("%d Jobs exist, %v, want none", len(jobs.Items), err)
		}
		checkCounts(t, log, map[string]int{"Secret image-webhook/webhook-tls created": 1, "failurePolicy Fail": 1})
	})
	t.Run("runs Deployments with volumes and service accounts", func(t *testing.T) { testDeployment(t, s) })
	t.Run("starts replicas", func(t *testing.T) {
		replica, err := i.StartReplica(t.Context(), "namespace-owner")
		if err != nil {
			t.Fatal(err)
		}
		if first, err := i.Process("namespace-owner"); err != nil || first.Addr == replica.Addr {
			t.Errorf("the first process: %v, %v", first, err)
		}
		if err := replica.Stop(); err != nil {
			t.Error(err)
		}
		checkCounts(t, log, map[string]int{"msg=serving": 3, "msg=stopped": 1})
	})
	t.Run("keeps serving when restarted", func(t *testing.T) {
		if err := i.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := probe.WaitServing(t.Context(), s.Config, &progress.Step{}); err != nil {
			t.Errorf("after the restart: %v", err)
		}
		// Only the webhook is killed: it has a Service.
		checkCounts(t, log, map[string]int{"msg=serving": 5, "msg=stopped": 2})
	})
	t.Run("keeps the old processes if a new one does not start", func(t *testing.T) {
		before := processes(i)
		writeScript(t, filepath.Join(programs, "namespace-owner"), "exit 3")
		if err := i.Restart(t.Context()); err == nil || err.Error() != "namespace-owner: exit status 3" {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(before, processes(i)); diff != "" {
			t.Errorf("processes (-before +after):\n%s", diff)
		}
		checkCounts(t, log, map[string]int{"msg=serving": 6, "msg=stopped": 3}) // the new webhook was stopped
	})
	t.Run("stops", func(t *testing.T) {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
		checkCounts(t, log, map[string]int{"msg=stopped": 5})
	})
}

// checkCounts checks how often the log contains texts.
func checkCounts(t *testing.T, log *servertest.LockedBuffer, wants map[string]int) {
	t.Helper()
	for text, want := range wants {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, log)
		}
	}
}

// processes returns the addresses of running processes by Deployment.
func processes(i *Installation) map[string]string {
	addresses := map[string]string{}
	for _, d := range i.deployments {
		select {
		case <-d.process.done:
		default:
			addresses[d.Name] = d.process.Addr
		}
	}
	return addresses
}

// writeScript writes a program.
func writeScript(t *testing.T, path, script string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
}

const controllerManifest = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: template
  namespace: default
data:
  quota: first
  limits: "1"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: test
  namespace: default
spec:
  selector:
    matchLabels:
      app: test
  template:
    metadata:
      labels:
        app: test
    spec:
      serviceAccountName: controller
      containers:
        - name: controller
          image: controller:1
          command: [/bin/controller]
          args: [--template-dir=/etc/test, --health-addr=:8081]
          volumeMounts:
            - name: files
              mountPath: /etc/test
      volumes:
        - name: files
          configMap:
            name: template
`

// controllerScript prints its arguments and runs until it is stopped.
const controllerScript = `echo "args $*" >&2
echo msg=serving addr=127.0.0.1:1 >&2
trap 'exit 0' TERM
while :; do sleep 0.05; done`

func testDeployment(t *testing.T, s *apiserver.Server) {
	programs, log := t.TempDir(), &servertest.LockedBuffer{}
	writeScript(t, filepath.Join(programs, "controller"), controllerScript)
	i, err := Install(t.Context(), Options{
		Server: s, Programs: programs, Log: log,
		Manifests:      []deploy.File{}, // the webhook is already installed
		NamespaceOwner: []deploy.File{{Name: "01-test.yaml", Content: controllerManifest}},
		Args:           map[string][]string{"controller": {"--more"}, "other": {"--less"}},
	}, progress.New(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	dir, kubeconfig := s.Dir+"/volumes/test/files", s.Dir+"/test.kubeconfig"
	want := "args --template-dir=" + dir + " --health-addr=:8081 --health-addr=127.0.0.1:0 --kubeconfig=" + kubeconfig + " --more"
	if diff := cmp.Diff(want, strings.SplitN(log.String(), "\n", 2)[0]); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	if got := currentUser(t, kubeconfig); got != "system:serviceaccount:default:controller" {
		t.Errorf("the kubeconfig is of user %q", got)
	}
	if diff := cmp.Diff(map[string]string{"quota": "first", "limits": "1"}, readFiles(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	changed := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "template"}, Data: map[string]string{"quota": "second"}}
	if _, err := i.client.CoreV1().ConfigMaps("default").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := i.UpdateVolumes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"quota": "second"}, readFiles(t, dir)); diff != "" {
		t.Errorf("changed files (-want +got):\n%s", diff)
	}
	if err := i.Stop(); err != nil {
		t.Error(err)
	}
}

// currentUser returns the user that a kubeconfig authenticates.
func currentUser(t *testing.T, kubeconfig string) string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username
}

// readFiles returns the contents of the files in a directory.
func readFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

func TestFailedStartShowsOutput(t *testing.T) {
	program := filepath.Join(t.TempDir(), "image-webhook")
	writeScript(t, program, `echo "no $1" >&2; exit 2`)
	_, err := StartProcess(t.Context(), program, []string{"certificate"}, io.Discard)
	var output strings.Builder
	subprocess.Print(&output, "tool", err)
	if diff := cmp.Diff("tool: image-webhook: exit status 2\n  | no certificate\n", output.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestProcessIsReadyWhenProbeSucceeds(t *testing.T) {
	answers := make(chan int, 2)
	answers <- http.StatusServiceUnavailable
	answers <- http.StatusOK
	p, ready := serveProbes(t, func() int { return <-answers })
	if err := p.waitReady(t.Context(), ready); err != nil || len(answers) > 0 {
		t.Errorf("got %v before %d other answers", err, len(answers))
	}
}

func TestProcessThatIsNotReadyShowsAnswer(t *testing.T) {
	p, ready := serveProbes(t, func() int { return http.StatusServiceUnavailable })
	ctx, stop := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("not ready in time"))
	defer stop()
	err := p.waitReady(ctx, ready)
	if want := "not ready in time: 503 Service Unavailable: answer 503"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// serveProbes returns a process whose probes get these answers, and its readiness probe.
func serveProbes(t *testing.T, status func() int) (*Process, *corev1.Probe) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code := status()
		http.Error(w, fmt.Sprintf("answer %d", code), code)
	}))
	t.Cleanup(server.Close)
	get := &corev1.HTTPGetAction{Scheme: corev1.URISchemeHTTPS, Path: "/readyz"}
	return &Process{Addr: server.Listener.Addr().String()}, &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}}
}

func TestRelocateReplacesDirectoryOfFiles(t *testing.T) {
	args := []string{"serve", "--tls-cert=/tls/cert", "--tls-key=/tls/key", "--server-addr=:8443", "--x=/tlsx", "--dir=/tls", "/tls"}
	want := []string{"serve", "--tls-cert=/run/v/cert", "--tls-key=/run/v/key", "--server-addr=:8443", "--x=/tlsx", "--dir=/run/v", "/tls"}
	if diff := cmp.Diff(want, relocate(args, "/tls", "/run/v")); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

func TestSelectItemsChoosesAndRenamesKeys(t *testing.T) {
	data := map[string]string{"a": "1", "b": "2"}
	if diff := cmp.Diff(map[string][]byte{"a": []byte("1"), "b": []byte("2")}, selectItems(data, nil)); diff != "" {
		t.Errorf("without items (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]byte{"c": []byte("2")}, selectItems(data, []corev1.KeyToPath{{Key: "b", Path: "c"}})); diff != "" {
		t.Errorf("with items (-want +got):\n%s", diff)
	}
}
