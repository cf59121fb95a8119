package certgen

import (
	"context"
	"crypto/x509"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// publish adds the CAs to the bundle of every webhook that calls one of the hosts, and reports
// whether one of them was missing. It skips configurations that do not exist.
func (s session) publish(ctx context.Context, hosts []string, cas []*x509.Certificate) (changed bool, err error) {
	if len(cas) == 0 {
		return false, nil
	}
	for _, m := range managedConfigurations(s.webhooks) {
		added, err := m.update(ctx, func(found configuration) (configurationChange, error) {
			var missing []webhook
			for _, hook := range found.calling(hosts) {
				if !containsAll(hook.client.CABundle, cas) {
					missing = append(missing, hook)
				}
			}
			return configurationChange{webhooks: bundleChanges(missing, s.adding(cas))}, nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return changed, explain(err, m.String(), registrationManifest)
		}
		if added {
			changed = true
			s.report("%s: published the CA", m)
		}
	}
	return changed, nil
}

// adding returns a function that adds the CAs to a bundle.
func (s session) adding(cas []*x509.Certificate) func(present []byte) []byte {
	return func(present []byte) []byte { return mergeBundle(cas, present, keepAll, s.now()) }
}

// findServices returns the Services that the API server calls for the hosts.
func (s session) findServices(ctx context.Context, hosts []string) (map[service]bool, error) {
	services := map[service]bool{}
	for _, m := range managedConfigurations(s.webhooks) {
		hooks, err := m.calling(ctx, hosts, metav1.GetOptions{})
		if err != nil {
			return nil, explain(err, m.String(), registrationManifest)
		}
		for _, hook := range hooks {
			if reference := hook.client.Service; reference != nil {
				services[service{reference.Namespace, reference.Name}] = true
			}
		}
	}
	return services, nil
}
