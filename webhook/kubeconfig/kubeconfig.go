// Package kubeconfig finds out how a program connects to the API server. Package server must
// not import it: the server needs no connection.
package kubeconfig

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Load returns the configuration for the API server: from the kubeconfig file if one is
// given, else from the pod's service account, else from kubectl's file.
func Load(file string) (*rest.Config, error) {
	config, err := load(file)
	if err != nil {
		return nil, fmt.Errorf("cannot load a cluster configuration: %w: run in a pod with a service account token, or set --kubeconfig", err)
	}
	return config, nil
}

func load(file string) (*rest.Config, error) {
	if file == "" {
		config, err := rest.InClusterConfig()
		if !errors.Is(err, rest.ErrNotInCluster) {
			return config, err
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}
