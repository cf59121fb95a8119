package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
)

// said is what a command printed and how it ended, as a person sees it.
type said struct {
	Stdout, Stderr string
	Exit           int
}

// GomegaString shows it as a terminal does, so that lines can be compared by eye.
func (s said) GomegaString() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", s.Exit, strings.TrimSuffix(s.Stdout, "\n"), strings.TrimSuffix(s.Stderr, "\n"))
}

// kubectl runs kubectl on the cluster of the suite.
func kubectl(ctx context.Context, args ...string) said {
	GinkgoHelper()
	return kubectlWith(ctx, "", args...)
}

// kubectlWith runs kubectl with stdin as its input.
func kubectlWith(ctx context.Context, stdin string, args ...string) said {
	GinkgoHelper()
	result := execKubectl(ctx, stdin, args...)
	transcript.add(strings.Join(args, " "), result)
	return result
}

// execKubectl is for what would be too long in the report of a failed spec.
func execKubectl(ctx context.Context, stdin string, args ...string) said {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, target.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+target.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	return say(cmd)
}

// say runs a command and returns what it said. That it fails is no error here.
func say(cmd *exec.Cmd) said {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		Expect(err).NotTo(HaveOccurred(), "run "+cmd.Path)
	}
	return said{Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode()}
}

// succeed is kubectl that must end with exit code 0; it returns its output.
func succeed(ctx context.Context, args ...string) string {
	GinkgoHelper()
	result := kubectl(ctx, args...)
	if result.Exit != 0 {
		Fail(fmt.Sprintf("kubectl %s ended with exit code %d: %s", strings.Join(args, " "), result.Exit, result.Stderr))
	}
	return strings.TrimSpace(result.Stdout)
}

// manifest is the path of one of the numbered manifests.
func manifest(name string) string { return filepath.Join("..", "deploy", name) }

// managed is the label of what a run makes outside of namespaces, so that the next
// one finds what a run that was killed has left.
const managed = "app.kubernetes.io/managed-by=image-webhook-e2e"

// newNamespace makes a namespace for one spec, ready for pods, and removes it
// afterwards.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels(managed)}}
	Expect(client.Resources().Create(ctx, namespace)).To(Succeed())
	namespacesOfSpec = append(namespacesOfSpec, namespace.Name)
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() && os.Getenv("E2E_DEBUG") != "" {
			AddReportEntry(summary.Kept, namespace.Name)
			return
		}
		Expect(client.Resources().Delete(ctx, namespace)).To(Succeed())
	})
	Eventually(func() error { // without it, pods are refused for another reason
		return client.Resources().Get(ctx, "default", namespace.Name, &corev1.ServiceAccount{})
	}).WithContext(ctx).Should(Succeed())
	return namespace.Name
}

// labels are those of a selector as kubectl takes it, of one label.
func labels(selector string) map[string]string {
	name, value, _ := strings.Cut(selector, "=")
	return map[string]string{name: value}
}

// shellEnv is the environment of a shell whose kubectl is the cluster's and reads
// kubeconfig.
func shellEnv(kubeconfig string) []string {
	return append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+filepath.Dir(target.kubectl)+":"+os.Getenv("PATH"))
}
