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

// What the scripts show when all is well, `make demo` shows. These are the clusters
// that they must not touch.
var _ = Describe("scripts", Label(devCluster), func() {
	// No pod of another spec comes to the node: it is not ready.
	It("refuse a cluster with a node that is none of kind's, unless told otherwise", func(ctx SpecContext) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-west-1/i-0"}}
		Expect(client.Resources().Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Resources().Delete(ctx, node)).To(Succeed()) })
		context := succeed(ctx, "config", "current-context")
		for _, script := range []string{"install.sh", "deny.sh", "rewrite.sh", "mirror.sh", "outage.sh", "uninstall.sh"} {
			Expect(runScript(ctx, script)).To(Equal(said{
				Stderr: "../scripts/" + script + ": node " + elsewhere + " of the cluster " + context + " is none of kind's: set ANY_CLUSTER=1 if you mean this cluster\n",
				Exit:   1,
			}))
		}
		Expect(runScript(ctx, "deny.sh", "ANY_CLUSTER=1").Exit).To(BeZero())
	})

	It("say what is missing", func(ctx SpecContext) {
		bare := GinkgoT().TempDir() // a PATH without kubectl
		for _, program := range []string{"bash", "dirname"} {
			path, err := exec.LookPath(program)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.Symlink(path, filepath.Join(bare, program))).To(Succeed())
		}
		Expect(runScript(ctx, "deny.sh", "PATH="+bare)).To(Equal(said{
			Stderr: "../scripts/deny.sh: there is no kubectl on the PATH: eval \"$(bin/cluster env)\" brings the one of `make up`\n",
			Exit:   1,
		}))
		Expect(runScript(ctx, "deny.sh", "KUBECONFIG=/dev/null")).To(Equal(said{
			Stderr: "../scripts/deny.sh: kubectl reaches no cluster whose nodes it may list (The connection to the server localhost:8080 was refused - did you specify the right host or port?): `make up` makes one, and eval \"$(bin/cluster env)\" points kubectl at it\n",
			Exit:   1,
		}))
	})
})

// elsewhere is a node of another provider than kind.
const elsewhere = "elsewhere"

// runScript runs one of scripts/ as a person does who has pointed kubectl at the
// suite's cluster; env comes on top.
func runScript(ctx context.Context, name string, env ...string) said {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "../scripts/"+name)
	cmd.Env = append(shellEnv(target.kubeconfig), env...)
	return say(cmd)
}
