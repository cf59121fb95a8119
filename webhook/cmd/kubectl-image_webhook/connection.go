package main

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// connection has kubectl's flags that choose the cluster and the user.
type connection struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// newConnection adds the flags. They come from client-go, like those of kubectl, so that they
// keep their names and meanings, except --namespace, whose meaning depends on the verb. A verb without a
// usage of it does not have it.
func newConnection(flags *pflag.FlagSet, namespaceUsage string) *connection {
	c := &connection{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
	flags.StringVar(&c.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "Path to the kubeconfig `file` to use")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.AuthOverrideFlags.Username.LongName = "" // kubectl has no basic authentication any more
	names.AuthOverrideFlags.Password.LongName = ""
	names.ClusterOverrideFlags.APIServer.ShortName = "s"
	names.Timeout.LongName = "" // --timeout limits all requests
	names.ContextOverrideFlags.Namespace.Description = namespaceUsage
	if namespaceUsage == "" {
		names.ContextOverrideFlags.Namespace.LongName = ""
	}
	clientcmd.BindOverrideFlags(&c.overrides, flags, names)
	return c
}

// load returns the configuration for the API server.
func (c *connection) load() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(c.rules, &c.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot load the kubeconfig: %w: set --kubeconfig or --context", err)
	}
	return config, nil
}

// namespace returns the value of --namespace. It is not that of kubectl's context, which is the namespace
// of the user's own work.
func (c *connection) namespace() string { return c.overrides.Context.Namespace }
