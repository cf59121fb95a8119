package certgen

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// renew does what create does. Then it removes the CAs that no replica needs from the caBundles,
// and repairs what other clients have changed: a missing CA, and Ignore where a user requested
// Fail. It reports a configuration that does not exist, but does not create it.
//
// A step that fails does not prevent the next ones, unless they need its result.
func (s session) renew(ctx context.Context, r Renew) error {
	renewed, err := s.create(ctx, r.Create)
	if err == nil && renewed {
		err = s.waitForReplicas(ctx, r.Create)
	}
	if repaired := s.repair(ctx, r); err == nil || repaired == nil || err.Error() != repaired.Error() {
		err = errors.Join(err, repaired)
	}
	return err
}

// waitForReplicas waits until all replicas serve the certificate of the Secret.
func (s session) waitForReplicas(ctx context.Context, c Create) error {
	secret, err := s.core.Secrets(c.Namespace).Get(ctx, c.SecretName, metav1.GetOptions{})
	if err != nil {
		return explain(err, c.object(), secretManifest)
	}
	return s.waitUntilServed(ctx, c.Hosts, secret.Data)
}

// repair repairs all configurations.
func (s session) repair(ctx context.Context, r Renew) error {
	if _, err := s.core.Secrets(r.Namespace).Get(ctx, r.SecretName, metav1.GetOptions{}); err != nil {
		return explain(err, r.object(), secretManifest)
	}
	replicas, err := s.listReplicas(ctx, r.Hosts)
	if err != nil {
		return err
	}
	chains, unknown := s.servedChains(ctx, replicas)
	if unknown != nil {
		s.report("all CAs stay in the caBundles: %v", unknown)
	}
	for _, m := range managedConfigurations(s.webhooks) {
		err = errors.Join(err, s.repairConfiguration(ctx, m, r, chains, unknown))
	}
	return err
}

func (s session) repairConfiguration(ctx context.Context, m namedConfiguration, r Renew, chains [][]*x509.Certificate, unknown error) error {
	if err := s.repairBundles(ctx, m, r.Create, chains, unknown); err != nil {
		switch missing := apierrors.IsNotFound(err); {
		case missing && m.optional:
			return nil
		case missing && m.denies:
			return s.checkPolicy(ctx, m, err)
		}
		return explain(err, m.String(), registrationManifest+" and then deploy/06-patch-webhookconfigure.yaml")
	}
	return s.repairPolicy(ctx, m, r)
}

// repairBundles adds the CAs of the Secret to the bundles and removes those that no certificate
// needs. It reads the Secret after the configuration. So if a concurrent run stages another
// certificate and publishes its CA, either this run sees it in the Secret, or the patch conflicts.
func (s session) repairBundles(ctx context.Context, m namedConfiguration, c Create, chains [][]*x509.Certificate, unknown error) error {
	var added, removed int
	_, err := m.update(ctx, func(found configuration) (configurationChange, error) {
		secret, err := s.core.Secrets(c.Namespace).Get(ctx, c.SecretName, metav1.GetOptions{})
		if err != nil {
			return configurationChange{}, fmt.Errorf("%s: %w", c.object(), err)
		}
		required := publishedCAs(secret.Data, c.Hosts, s.now())
		keep := s.neededBy(chains)
		if unknown != nil || len(required) == 0 {
			keep = keepAll
		}
		added, removed = 0, 0
		return configurationChange{webhooks: bundleChanges(found.calling(c.Hosts), func(present []byte) []byte {
			bundle := mergeBundle(required, present, keep, s.now())
			added = max(added, countMissing(present, bundle))
			removed = max(removed, countMissing(bundle, present))
			return bundle
		})}, nil
	})
	if err == nil && added > 0 {
		s.report("%s: added %d CA to the caBundles, where it was missing", m, added)
	}
	if err == nil && removed > 0 {
		s.report("%s: dropped %d CA that no replica needs from the caBundles", m, removed)
	}
	return err
}

// neededBy returns a function that reports whether one of the chains is valid with a CA.
func (s session) neededBy(chains [][]*x509.Certificate) func(*x509.Certificate) bool {
	return func(ca *x509.Certificate) bool {
		return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return signs(ca, chain, s.now()) })
	}
}

// repairPolicy sets Fail again where a user requested it, after the API servers have got a
// verdict.
func (s session) repairPolicy(ctx context.Context, m namedConfiguration, r Renew) error {
	found, err := m.get(ctx, m.name, metav1.GetOptions{})
	if err != nil {
		return explain(err, m.String(), registrationManifest)
	}
	requested := found.annotations[PolicyAnnotation] == string(admissionregistrationv1.Fail)
	if !requested || len(policyChange(found, admissionregistrationv1.Fail).webhooks) == 0 {
		return nil
	}
	s.report("%s: failurePolicy is not Fail any more", m)
	return s.setFail(ctx, m, r.Namespace, r.Timeout)
}
