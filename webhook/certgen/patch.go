package certgen

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patch updates the selected configurations in an order that never makes a cluster
// less available than before:
//
//  1. Ignore, if requested. This step needs neither the Secret nor a server, so it
//     unblocks a cluster whose webhook does not answer.
//  2. The CA, in every webhook, as soon as the Secret has one.
//  3. Fail, if requested, after the API servers have got a verdict from the webhook.
//
// Earlier CAs stay in the bundles: servers may still use their certificates. `certgen renew`
// removes them.
func (s session) patch(ctx context.Context, p Patch) error {
	selected := selectConfigurations(s.apiClients, p)
	for _, n := range selected {
		if n.policy == admissionregistrationv1.Ignore {
			if err := s.setPolicy(ctx, n.namedConfiguration, n.policy); err != nil {
				return err
			}
		}
	}
	cas, err := s.waitForCA(ctx, p)
	if err != nil {
		return err
	}
	for _, n := range selected {
		if err := s.setCA(ctx, n.namedConfiguration, cas); err != nil {
			return err
		}
	}
	for _, n := range selected {
		if n.policy == admissionregistrationv1.Fail {
			if err := s.setFail(ctx, n.namedConfiguration, p.Namespace, p.Timeout); err != nil {
				return err
			}
		}
	}
	return nil
}

// selectedConfiguration is a configuration and the failure policy requested for it.
type selectedConfiguration struct {
	namedConfiguration
	policy admissionregistrationv1.FailurePolicyType
}

func selectConfigurations(api apiClients, p Patch) []selectedConfiguration {
	var selected []selectedConfiguration
	if p.Validating.Selected {
		named := namedConfiguration{configurationClient: validatingClient(api.webhooks), name: p.WebhookName}
		selected = append(selected, selectedConfiguration{named, p.Validating.FailurePolicy})
	}
	if p.Mutating.Selected {
		named := namedConfiguration{configurationClient: mutatingClient(api.webhooks), name: p.WebhookName}
		selected = append(selected, selectedConfiguration{named, p.Mutating.FailurePolicy})
	}
	return selected
}

// setCA adds the CAs to the bundles of all webhooks of a configuration.
func (s session) setCA(ctx context.Context, n namedConfiguration, cas []*x509.Certificate) error {
	changed, err := n.update(ctx, func(found configuration) (configurationChange, error) {
		return configurationChange{webhooks: bundleChanges(found.webhooks, s.adding(cas))}, nil
	})
	return s.reportChange(n, "caBundle", changed, err)
}

// setPolicy sets and records the failure policy of all webhooks of a configuration.
func (s session) setPolicy(ctx context.Context, n namedConfiguration, policy admissionregistrationv1.FailurePolicyType) error {
	changed, err := n.update(ctx, func(found configuration) (configurationChange, error) {
		return policyChange(found, policy), nil
	})
	return s.reportChange(n, "failurePolicy "+string(policy), changed, err)
}

func (s session) reportChange(n namedConfiguration, field string, changed bool, err error) error {
	if err != nil {
		return explain(err, n.String(), registrationManifest)
	}
	state := "already set"
	if changed {
		state = "set"
	}
	s.report("%s: %s %s", n, field, state)
	return nil
}

// setFail sets the policy Fail after each API server has got a verdict. If all webhooks already
// have the policy, no verdict is needed.
func (s session) setFail(ctx context.Context, n namedConfiguration, namespace string, timeout time.Duration) error {
	found, err := n.get(ctx, n.name, metav1.GetOptions{})
	if err != nil {
		return explain(err, n.String(), registrationManifest)
	}
	if len(policyChange(found, admissionregistrationv1.Fail).webhooks) > 0 {
		if err := s.waitForVerdicts(ctx, found, probeNamespace(namespace), timeout); err != nil {
			return fmt.Errorf("%s: failurePolicy Fail not set: %w", n, err)
		}
	}
	return s.setPolicy(ctx, n, admissionregistrationv1.Fail)
}

// secretLimit is how long patch waits for the Secret, because both Jobs may start at the same
// time.
const secretLimit = 30 * time.Second

// waitForCA returns the CAs of the Secret, and waits until create has written them.
func (s session) waitForCA(ctx context.Context, p Patch) ([]*x509.Certificate, error) {
	object := fmt.Sprintf("Secret %s/%s", p.Namespace, p.SecretName)
	var cas []*x509.Certificate
	announced := false
	err := s.try(ctx, s.secretLimit, func() error {
		secret, err := s.core.Secrets(p.Namespace).Get(ctx, p.SecretName, metav1.GetOptions{})
		if err != nil {
			err = explain(err, object, secretManifest)
		} else if cas, err = readCA(secret.Data); err != nil {
			err = fmt.Errorf("%s: %w: run certgen create, which repairs it", object, err)
		}
		if err != nil && !announced {
			announced = true
			fmt.Fprintf(s.progress, "%v: waiting up to %s for certgen create\n", err, s.secretLimit)
		}
		return err
	})
	return cas, err
}

// readCA returns the CAs of the certificate in a Secret, or of the staged one if there is no other.
func readCA(data map[string][]byte) ([]*x509.Certificate, error) {
	cas, err := parseCertificates(data[caKey])
	if err == nil {
		return cas, nil
	}
	if staged, failed := parseCertificates(data[StagedPrefix+caKey]); failed == nil {
		return staged, nil
	}
	return nil, fmt.Errorf("key %q is not a CA bundle: %w", caKey, err)
}
