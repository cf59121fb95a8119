package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// `make demo` tests the scripts on the right cluster. These specs test that the scripts reject
// other clusters.
var _ = Describe("scripts", Label(devCluster), func() {
	// The scheduler places no pod of another spec on the node, because it is not ready.
	It("reject a cluster with a node that kind did not create, unless ANY_CLUSTER=1 is set", func(ctx SpecContext) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: foreignNode}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-west-1/i-0"}}
		Expect(client.Resources().Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Resources().Delete(ctx, node)).To(Succeed()) })
		context := succeed(ctx, "config", "current-context")
		for _, script := range []string{
			"install.sh", "deny.sh", "rewrite.sh", "mirror.sh", "audit.sh", "outage.sh", "uninstall.sh",
			"install-namespace-owner.sh", "namespace-owner.sh", "uninstall-namespace-owner.sh", "undeletable.sh",
		} {
			Expect(runScript(ctx, script)).To(Equal(result{
				Stderr: "../scripts/" + script + ": node \"" + foreignNode + "\" of cluster \"" + context + "\" was not created by kind: set ANY_CLUSTER=1 to use the cluster anyway\n",
				Exit:   1,
			}))
		}
		Expect(runScript(ctx, "deny.sh", "ANY_CLUSTER=1").Exit).To(BeZero())
	})

	It("name the missing program or cluster, and the commands that help", func(ctx SpecContext) {
		bare := GinkgoT().TempDir() // a PATH without kubectl
		for _, program := range []string{"bash", "dirname"} {
			path, err := exec.LookPath(program)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.Symlink(path, filepath.Join(bare, program))).To(Succeed())
		}
		Expect(runScript(ctx, "deny.sh", "PATH="+bare)).To(Equal(result{
			Stderr: "../scripts/deny.sh: kubectl is not on the PATH: run `make up`, then eval \"$(bin/cluster env)\"\n",
			Exit:   1,
		}))
		Expect(runScript(ctx, "deny.sh", "KUBECONFIG=/dev/null")).To(Equal(result{
			Stderr: "../scripts/deny.sh: kubectl cannot list the nodes of a cluster: The connection to the server localhost:8080 was refused - did you specify the right host or port?: run `make up`, then eval \"$(bin/cluster env)\"\n",
			Exit:   1,
		}))
	})
})

// foreignNode is the name of a node that kind did not create.
const foreignNode = "foreign"

// runScript runs a script of scripts/ with kubectl pointed at the suite's cluster, and
// with additional environment variables.
func runScript(ctx context.Context, name string, env ...string) result {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "../scripts/"+name)
	cmd.Env = append(shellEnv(target.kubeconfig), env...)
	return runCommand(cmd)
}
