package specrunner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/specrunner/reviewlog"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
)

// target is the cluster that the specs run on.
type target struct {
	kubeconfig string
	kubectl    string
	kind       *devcluster.Cluster // nil: the cluster of Options.Kubeconfig
	created    bool                // whether this run created the cluster
	form       probe.Form
}

// env returns the environment variables for the suite.
func (t target) env() []string {
	env := []string{"E2E_KUBECONFIG=" + t.kubeconfig, "E2E_KUBECTL=" + t.kubectl, "E2E_CLUSTER="}
	if t.kind != nil {
		env[2] += t.kind.Name
	}
	if t.form.Hybrid {
		env = append(env, "E2E_HYBRID=1")
	}
	if t.form.Static {
		env = append(env, "E2E_STATIC=1")
	}
	return env
}

// prepareTarget prepares a cluster for the specs and returns when the webhook answers.
type prepareTarget func(ctx context.Context) (target, error)

// findTarget finds the cluster, or checks that it can be created. It changes nothing.
func (r *run) findTarget(ctx context.Context) (prepareTarget, error) {
	if r.Kubeconfig != "" {
		return r.findForeignCluster(ctx)
	}
	c, err := devcluster.OpenOrInstall(ctx, r.Name, r.report)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (target, error) { return r.startKindCluster(ctx, c) }, nil
}

// startKindCluster starts the kind cluster with the mirror and the webhook of the checkout.
func (r *run) startKindCluster(ctx context.Context, c *devcluster.Cluster) (t target, err error) {
	t = target{kubeconfig: c.Kubeconfig(), kubectl: c.KubectlPath(), kind: c}
	if err := r.phases.Time("cluster", func() (err error) { t.created, err = c.Up(ctx); return err }); err != nil {
		return t, err
	}
	waitForMirror, stop := r.background(ctx, "start the mirror", func(ctx context.Context, step *progress.Step) error { return r.installMirror(ctx, c, step) })
	defer stop()
	if err := r.installWebhook(ctx, c); err != nil {
		return t, err
	}
	config, err := c.Config()
	if err != nil {
		return t, err
	}
	if t.form, err = probe.FindForm(ctx, config); err != nil {
		return t, fmt.Errorf("find the form of the installation: %w", err)
	}
	return t, r.phases.Time("mirror", waitForMirror)
}

// installWebhook installs the webhook of the checkout and waits until it answers.
func (r *run) installWebhook(ctx context.Context, c *devcluster.Cluster) error {
	var image webhookimage.Image
	for _, phase := range []struct {
		name string
		run  func() error
	}{
		{"build", func() (err error) { image, err = c.BuildImage(ctx, webhookimage.Options{}); return err }},
		{"load", func() error { return c.LoadArchive(ctx, image.Path) }},
		{"install", func() error { return c.Refresh(ctx, image.ContentRef, reviewlog.Flags...) }},
	} {
		if err := r.phases.Time(phase.name, phase.run); err != nil {
			return err
		}
	}
	return nil
}

// installMirror installs the mirror in the background, with its progress as the detail of step.
func (r *run) installMirror(ctx context.Context, c *devcluster.Cluster, step *progress.Step) error {
	quiet := progress.New(step)
	m, err := mirror.Open(c.WithReporter(quiet), quiet)
	if err != nil {
		return err
	}
	return m.Install(ctx)
}

// findForeignCluster finds the cluster of Options.Kubeconfig, whose webhook must be installed.
func (r *run) findForeignCluster(ctx context.Context) (prepareTarget, error) {
	kubeconfig, err := filepath.Abs(r.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("find kubeconfig %q: %w", r.Kubeconfig, err)
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("kubectl is not on the PATH: run `make up`, then eval \"$(bin/cluster env)\"")
	}
	config, err := loadConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use kubeconfig %q: %w", kubeconfig, err)
	}
	if err := r.checkAllowed(ctx, config.Host, client); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (target, error) {
		if err := r.checkWebhook(ctx, config); err != nil {
			return target{}, err
		}
		form, err := probe.FindForm(ctx, config)
		return target{kubeconfig: kubeconfig, kubectl: kubectl, form: form}, err
	}, nil
}

// loadConfig returns the configuration of the current context of a kubeconfig.
func loadConfig(kubeconfig string) (*rest.Config, error) {
	loaded, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %q: %w", kubeconfig, err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*loaded, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("use current context %q of kubeconfig %q: %w", loaded.CurrentContext, kubeconfig, err)
	}
	return config, nil
}

// checkAllowed returns an error for a cluster that kind did not create, because others may use
// it. scripts/demo-functions.sh has the same rule and messages.
func (r *run) checkAllowed(ctx context.Context, host string, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes of cluster %q: %w", host, err)
	}
	if err := checkKindNodes(host, nodes.Items); err != nil && os.Getenv("ANY_CLUSTER") != "1" {
		return fmt.Errorf("%w: set ANY_CLUSTER=1 to use the cluster anyway", err)
	}
	r.report.Note("Using cluster %q and the webhook installed in it.", host)
	return nil
}

func checkKindNodes(host string, nodes []corev1.Node) error {
	for _, node := range nodes {
		if !strings.HasPrefix(node.Spec.ProviderID, "kind://") {
			return fmt.Errorf("node %q of cluster %q was not created by kind", node.Name, host)
		}
	}
	if len(nodes) == 0 {
		return fmt.Errorf("cluster %q has no nodes, so it was not created by kind", host)
	}
	return nil
}

// answerLimit is how long a foreign cluster and its webhook may take to answer.
const answerLimit = 15 * time.Second

// checkWebhook returns an error if the webhook does not answer.
func (r *run) checkWebhook(ctx context.Context, config *rest.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errors.New("the webhook does not answer: install it first, as README.md describes"))
	defer cancel()
	return r.report.Step("wait until the webhook denies and mirrors", func(step *progress.Step) error {
		return probe.WaitServing(ctx, config, step)
	})
}
