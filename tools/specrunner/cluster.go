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
	ours       *devcluster.Cluster // nil: it is another one
	created    bool                // by this run
}

// env is how the suite is told.
func (t target) env() []string {
	env := []string{"E2E_KUBECONFIG=" + t.kubeconfig, "E2E_KUBECTL=" + t.kubectl, "E2E_CLUSTER="}
	if t.ours != nil {
		env[2] += t.ours.Name
	}
	return env
}

// preparation is what is left to do once it is clear that there is, or can be, a
// cluster: afterwards a webhook answers there.
type preparation func(ctx context.Context) (target, error)

// find refuses what cannot work before anything is changed.
func (r *run) find(ctx context.Context) (preparation, error) {
	if r.Kubeconfig != "" {
		return r.another(ctx)
	}
	c, err := devcluster.OpenOrInstall(ctx, r.Name, r.report)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (target, error) { return r.ours(ctx, c) }, nil
}

// ours brings up our own cluster, with the mirror and the webhook of the checkout.
func (r *run) ours(ctx context.Context, c *devcluster.Cluster) (t target, err error) {
	t = target{kubeconfig: c.Kubeconfig(), kubectl: c.KubectlPath(), ours: c}
	if err := r.phases.Time("cluster", func() (err error) { t.created, err = c.Up(ctx); return err }); err != nil {
		return t, err
	}
	mirrored, stop := r.beside(ctx, "start the mirror", r.installMirror)
	defer stop()
	if err := r.install(ctx, c); err != nil {
		return t, err
	}
	return t, r.phases.Time("mirror", mirrored)
}

// install has the webhook of the checkout answer in the cluster.
func (r *run) install(ctx context.Context, c *devcluster.Cluster) error {
	var image webhookimage.Image
	for _, phase := range []struct {
		name string
		do   func() error
	}{
		{"build", func() (err error) { image, err = c.BuildImage(ctx, webhookimage.Options{}); return err }},
		{"load", func() error { return c.LoadArchive(ctx, image.Path) }},
		{"install", func() error { return c.Refresh(ctx, image.ContentRef, reviewlog.Flags...) }},
	} {
		if err := r.phases.Time(phase.name, phase.do); err != nil {
			return err
		}
	}
	return nil
}

// installMirror works beside all else, so what it says is the detail of a step.
func (r *run) installMirror(ctx context.Context, step *progress.Step) error {
	quiet := progress.New(step)
	c, err := devcluster.Open(ctx, r.Name, quiet)
	if err != nil {
		return err
	}
	m, err := mirror.Open(c, quiet)
	if err != nil {
		return err
	}
	return m.Install(ctx)
}

// another takes a cluster as it is, once it is clear that it is meant.
func (r *run) another(ctx context.Context) (preparation, error) {
	kubeconfig, err := filepath.Abs(r.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("find the kubeconfig %s: %w", r.Kubeconfig, err)
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("there is no kubectl on the PATH: eval \"$(bin/cluster env)\" brings the one of `make up`")
	}
	config, err := loadConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig %s: %w", kubeconfig, err)
	}
	if err := r.meant(ctx, config.Host, client); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (target, error) {
		return target{kubeconfig: kubeconfig, kubectl: kubectl}, r.answers(ctx, config)
	}, nil
}

// loadConfig reads the current context of a kubeconfig.
func loadConfig(kubeconfig string) (*rest.Config, error) {
	loaded, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", kubeconfig, err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*loaded, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("use the current context %q of %s: %w", loaded.CurrentContext, kubeconfig, err)
	}
	return config, nil
}

// meant refuses a cluster that may be in use by others, as scripts/ do, before
// anything is changed in it.
func (r *run) meant(ctx context.Context, host string, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes of %s: %w", host, err)
	}
	if err := onlyKinds(nodes.Items); err != nil && os.Getenv("ANY_CLUSTER") != "1" {
		return fmt.Errorf("the cluster at %s: %w: set ANY_CLUSTER=1 if you mean this cluster", host, err)
	}
	r.report.Note("Using the cluster at %s, and the webhook that is installed there.", host)
	return nil
}

func onlyKinds(nodes []corev1.Node) error {
	for _, node := range nodes {
		if !strings.HasPrefix(node.Spec.ProviderID, "kind://") {
			return fmt.Errorf("node %s is none of kind's", node.Name)
		}
	}
	if len(nodes) == 0 {
		return errors.New("it has no nodes, so it is none of kind's")
	}
	return nil
}

// reachLimit is how long another cluster, and its webhook, may take to answer.
const reachLimit = 15 * time.Second

// answers makes sure that the cluster has a webhook to test.
func (r *run) answers(ctx context.Context, config *rest.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachLimit, errors.New("the webhook does not answer there: install it first, as README.md says"))
	defer cancel()
	return r.report.Step("the webhook denies and mirrors", func(step *progress.Step) error {
		return probe.WaitServing(ctx, config, step)
	})
}
