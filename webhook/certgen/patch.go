package certgen

import (
	"context"
	"fmt"
	"io"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
)

// patch updates the selected configurations in an order that never makes a cluster
// less available than before:
//
//  1. Ignore, if requested. This step needs neither the Secret nor a server, so it
//     unblocks a cluster whose webhook does not answer.
//  2. The CA, in every webhook, after create has finished with the Secret.
//  3. Fail, if requested, after the server has answered with that CA.
func patch(ctx context.Context, api apiClients, p Patch, waiter secretWaiter, prober *prober, out io.Writer) error {
	selected := selectConfigurations(api, p)
	if err := updateAll(ctx, selected, admissionregistrationv1.Ignore, nil, nil, out); err != nil {
		return err
	}
	if err := waiter.waitUntilValid(ctx, api.secrets, p.Namespace, p.SecretName); err != nil {
		return err
	}
	ca, err := readCA(ctx, api.secrets, p.Namespace, p.SecretName)
	if err != nil {
		return err
	}
	if err := updateAll(ctx, selected, "", ca, nil, out); err != nil {
		return err
	}
	return updateAll(ctx, selected, admissionregistrationv1.Fail, ca, prober, out)
}

// selectedConfiguration is a configuration and the failure policy requested for it.
type selectedConfiguration struct {
	configurationClient
	name   string
	policy admissionregistrationv1.FailurePolicyType
}

func (s selectedConfiguration) String() string { return s.kind + " " + s.name }

func selectConfigurations(api apiClients, p Patch) []selectedConfiguration {
	var selected []selectedConfiguration
	if p.Validating.Selected {
		selected = append(selected, selectedConfiguration{validatingClient(api.webhooks), p.WebhookName, p.Validating.FailurePolicy})
	}
	if p.Mutating.Selected {
		selected = append(selected, selectedConfiguration{mutatingClient(api.webhooks), p.WebhookName, p.Mutating.FailurePolicy})
	}
	return selected
}

// updateAll sets the CA and the policy in the configurations for which this policy is
// requested. With an empty policy, it sets only the CA, in all configurations.
func updateAll(ctx context.Context, selected []selectedConfiguration, policy admissionregistrationv1.FailurePolicyType, ca []byte, prober *prober, out io.Writer) error {
	for _, s := range selected {
		if policy != "" && s.policy != policy {
			continue
		}
		if err := s.update(ctx, desiredState{caBundle: ca, failurePolicy: policy}, prober, out); err != nil {
			return err
		}
	}
	return nil
}

// update brings the configuration into the desired state. With a prober, it waits for
// the servers first. After a conflict it starts again, so that it always probes the
// servers of the version that it patches.
func (s selectedConfiguration) update(ctx context.Context, desired desiredState, prober *prober, out io.Writer) error {
	return retry.RetryOnConflict(conflictBackoff, func() error {
		found, err := s.get(ctx, s.name)
		if err != nil {
			return explain(err, s.String(), "deploy/05-webhookconfigure.yaml")
		}
		updates := desired.updatesFor(found, time.Now())
		if len(updates) == 0 {
			fmt.Fprintf(out, "%s: %s already set\n", s, desired)
			return nil
		}
		if prober != nil {
			if err := prober.waitUntilReady(ctx, readyzURLs(updates), desired.caBundle); err != nil {
				return fmt.Errorf("%s: %s not set: %w", s, desired, err)
			}
		}
		if err := s.patch(ctx, s.name, mergePatch(found.resourceVersion, updates)); err != nil {
			return explain(err, s.String(), "deploy/05-webhookconfigure.yaml")
		}
		fmt.Fprintf(out, "%s: %s set\n", s, desired)
		return nil
	})
}

// readCA returns the CA bundle of the Secret. It returns an error if the bundle
// contains anything except certificates.
func readCA(ctx context.Context, secrets coreclient.SecretsGetter, namespace, name string) ([]byte, error) {
	object := fmt.Sprintf("Secret %s/%s", namespace, name)
	secret, err := secrets.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, explain(err, object, "deploy/03-certgen.yaml")
	}
	ca := secret.Data[caKey]
	if _, err := parseCertificates(ca); err != nil {
		return nil, fmt.Errorf("%s: key %q is not a CA bundle: %w: run certgen create, which repairs it", object, caKey, err)
	}
	return ca, nil
}
