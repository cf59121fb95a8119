package devcluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

// endpointsLimit is how long a Service may have no ready endpoint after its pods are ready.
const endpointsLimit = 15 * time.Second

// serviceError is an error about a Service. The state of the pods does not explain it.
type serviceError struct{ error }

// services returns the Services in a manifest.
func services(manifest string) (found []corev1.Service, err error) {
	documents, err := deploy.Documents(manifest)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		var service corev1.Service
		if err := yaml.Unmarshal(document, &service.TypeMeta); err != nil {
			return nil, err
		}
		if service.Kind != "Service" {
			continue
		}
		if err := yaml.UnmarshalStrict(document, &service); err != nil {
			return nil, err
		}
		found = append(found, service)
	}
	return found, nil
}

// checkSelectors returns an error if a Service in the cluster has a key in its selector that its
// applied manifest does not have. Such a Service selects no pod, and the installation would fail
// only after 05 has set the failure policies to Ignore.
func (c *Cluster) checkSelectors(ctx context.Context, manifest string) error {
	return c.eachService(manifest, func(wanted corev1.Service) error {
		client, err := c.Client()
		if err != nil {
			return err
		}
		live, err := client.CoreV1().Services(wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("check Service %s: %w", wanted.Name, err)
		}
		return checkSelector(*live, wanted)
	})
}

// eachService calls check for each Service in a manifest until it returns an error.
func (c *Cluster) eachService(manifest string, check func(corev1.Service) error) error {
	found, err := services(manifest)
	if err != nil {
		return err
	}
	for _, service := range found {
		if err := check(service); err != nil {
			return err
		}
	}
	return nil
}

// checkSelector returns an error that names the keys that only the selector in the cluster has.
func checkSelector(live, wanted corev1.Service) error {
	var extra, removals []string
	for _, key := range slices.Sorted(maps.Keys(live.Spec.Selector)) {
		if _, ok := wanted.Spec.Selector[key]; !ok {
			extra = append(extra, strconv.Quote(key))
			removals = append(removals, strconv.Quote(key)+":null")
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return serviceError{fmt.Errorf("check Service %s: its selector also has %s, which is not in the manifest, so kubectl apply keeps it: "+
		`run kubectl patch service %[1]s -n %[3]s --type=merge -p '{"spec":{"selector":{%[4]s}}}'`,
		live.Name, strings.Join(extra, ", "), live.Namespace, strings.Join(removals, ","))}
}

// waitForEndpoints waits until each Service in a manifest has a ready endpoint. The pods must be
// ready.
func (c *Cluster) waitForEndpoints(ctx context.Context, manifest string) error {
	return c.eachService(manifest, func(service corev1.Service) error {
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, endpointsLimit, true, func(ctx context.Context) (bool, error) {
			ready, err := c.readyEndpoints(ctx, service)
			return ready > 0, err
		})
		if wait.Interrupted(err) && ctx.Err() == nil {
			return serviceError{fmt.Errorf("check Service %s: its pods are ready, but it has no ready endpoint: "+
				"compare its selector and ports with the manifest: kubectl get service %[1]s -n %[2]s -o yaml", service.Name, service.Namespace)}
		}
		return err
	})
}

func (c *Cluster) readyEndpoints(ctx context.Context, service corev1.Service) (int, error) {
	client, err := c.Client()
	if err != nil {
		return 0, err
	}
	found, err := client.DiscoveryV1().EndpointSlices(service.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
	if err != nil {
		return 0, err
	}
	return countReady(found.Items), nil
}

// countReady returns the number of ready endpoints.
func countReady(found []discoveryv1.EndpointSlice) (ready int) {
	for _, slice := range found {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready++
			}
		}
	}
	return ready
}
