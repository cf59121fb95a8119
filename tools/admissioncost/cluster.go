package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// answerLimit is how long the API server may take to answer a request, except for a profile.
const answerLimit = 15 * time.Second

// cluster is the measured cluster.
type cluster struct {
	client    kubernetes.Interface
	host      string
	release   string    // Kubernetes version
	bare      bool      // the API server of `bin/controlplane`, without nodes
	static    string    // directory of the static files that the API server reads; empty: it reads none
	plugin    bool      // the API server runs the plugin ImagePolicyWebhook
	installed *webhooks // nil: not read yet
}

// connect returns the cluster of a kubeconfig. It returns an error for a cluster that is neither a
// kind cluster nor the API server of `bin/controlplane`, because others may use it.
func connect(ctx context.Context, kubeconfig string) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := loadConfig(rules)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig: %w", err)
	}
	c := &cluster{client: client, host: config.Host, static: findStatic(rules.GetDefaultFilename())}
	ctx, stop := context.WithTimeout(ctx, answerLimit)
	defer stop()
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes of cluster %q: %w: run `make controlplane` or `make up`, then eval \"$(bin/controlplane env)\" or \"$(bin/cluster env)\"", c.host, err)
	}
	if err := checkOwn(c.host, nodes.Items); err != nil && os.Getenv("ANY_CLUSTER") != "1" {
		return nil, fmt.Errorf("%w: set ANY_CLUSTER=1 to use the cluster anyway", err)
	}
	c.bare = len(nodes.Items) == 0
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("read the version of cluster %q: %w", c.host, err)
	}
	c.release = version.GitVersion
	c.plugin = runsPlugin(ctx, client)
	return c, nil
}

// loadConfig returns a client configuration without limits and warnings.
func loadConfig(rules *clientcmd.ClientConfigLoadingRules) (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		err = errors.New(`it is empty: run eval "$(bin/controlplane env)", or use --kubeconfig`)
	}
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// checkOwn returns an error unless kind created all nodes, or there are no nodes and the API
// server is on this machine, like the one of `bin/controlplane`.
func checkOwn(host string, nodes []corev1.Node) error {
	for _, node := range nodes {
		if !strings.HasPrefix(node.Spec.ProviderID, "kind://") {
			return fmt.Errorf("node %q of cluster %q was not created by kind", node.Name, host)
		}
	}
	if len(nodes) == 0 && !isLoopback(host) {
		return fmt.Errorf("cluster %q has no nodes and is not on this machine, so `bin/controlplane` did not create it", host)
	}
	return nil
}

// isLoopback reports whether the host of a URL is an address of the loopback interface.
func isLoopback(host string) bool {
	u, err := url.Parse(host)
	return err == nil && net.ParseIP(u.Hostname()).IsLoopback()
}
