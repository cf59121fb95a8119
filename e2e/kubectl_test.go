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

// result is the output and the exit code of a command.
type result struct {
	Stdout, Stderr string
	Exit           int
}

// GomegaString returns the output without quotes and escapes, so that failure messages are
// easy to compare.
func (r result) GomegaString() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.Exit, strings.TrimSuffix(r.Stdout, "\n"), strings.TrimSuffix(r.Stderr, "\n"))
}

// kubectl runs kubectl on the suite's cluster. It does not fail the spec if the command
// fails.
func kubectl(ctx context.Context, args ...string) result {
	GinkgoHelper()
	return kubectlWith(ctx, "", args...)
}

// kubectlWith is like kubectl, with stdin as the input.
func kubectlWith(ctx context.Context, stdin string, args ...string) result {
	GinkgoHelper()
	got := execKubectl(ctx, stdin, args...)
	transcript.add(strings.Join(args, " "), got)
	return got
}

// execKubectl is like kubectlWith, but keeps the command out of the transcript, because
// its output would be too long for the report of a failed spec.
func execKubectl(ctx context.Context, stdin string, args ...string) result {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, target.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+target.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	return runCommand(cmd)
}

// runCommand runs a command. It does not fail the spec if the command fails.
func runCommand(cmd *exec.Cmd) result {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		Expect(err).NotTo(HaveOccurred(), "run "+cmd.Path)
	}
	return result{Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode()}
}

// succeed runs kubectl, fails the spec if the exit code is not 0, and returns the output.
func succeed(ctx context.Context, args ...string) string {
	GinkgoHelper()
	got := kubectl(ctx, args...)
	if got.Exit != 0 {
		Fail(fmt.Sprintf("kubectl %s failed with exit code %d: %s", strings.Join(args, " "), got.Exit, got.Stderr))
	}
	return strings.TrimSpace(got.Stdout)
}

// manifest returns the path of a numbered manifest.
func manifest(name string) string { return filepath.Join("..", "deploy", name) }

// managedByLabel marks the cluster-scoped objects of a run, which have managedByKinds, so that the
// next run can remove the objects of a killed run.
const (
	managedByLabel = "app.kubernetes.io/managed-by=image-webhook-e2e"
	managedByKinds = "namespaces,mutatingwebhookconfigurations,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
)

// newNamespace creates a namespace for one spec, waits until pods can be created in it,
// and deletes it after the spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labelMap(managedByLabel)}}
	Expect(client.Resources().Create(ctx, namespace)).To(Succeed())
	specNamespaces = append(specNamespaces, namespace.Name)
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() && os.Getenv("E2E_DEBUG") != "" {
			AddReportEntry(summary.KeptNamespace, namespace.Name)
			return
		}
		Expect(client.Resources().Delete(ctx, namespace)).To(Succeed())
	})
	Eventually(func() error { // the API server rejects pods until their ServiceAccount exists
		return client.Resources().Get(ctx, "default", namespace.Name, &corev1.ServiceAccount{})
	}).WithContext(ctx).Should(Succeed())
	return namespace.Name
}

// labelMap returns the label of a selector NAME=VALUE.
func labelMap(selector string) map[string]string {
	name, value, _ := strings.Cut(selector, "=")
	return map[string]string{name: value}
}

// shellEnv returns the environment of a shell in which kubectl is the suite's kubectl and
// reads kubeconfig. It has the programs in bin, such as Helm and the plugin of kubectl.
func shellEnv(kubeconfig string) []string {
	GinkgoHelper()
	programs, err := filepath.Abs("../bin")
	Expect(err).NotTo(HaveOccurred())
	path := strings.Join([]string{filepath.Dir(target.kubectl), programs, os.Getenv("PATH")}, string(filepath.ListSeparator))
	return append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+path)
}
