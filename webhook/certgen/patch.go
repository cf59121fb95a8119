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

// patch brings the selected configurations to what was asked, in the order
// that never leaves a cluster worse off than before:
//
//  1. Ignore, where it was asked for. It needs nothing, not even the Secret:
//     it is the way out for a cluster that a dead webhook holds.
//  2. The CA, on every webhook, once it is the one that create leaves in the Secret.
//  3. Fail, where it was asked for, once the server has answered under that CA.
func patch(ctx context.Context, api cluster, p Patch, s settler, prove *prover, out io.Writer) error {
	sides := selectedSides(api, p)
	if err := apply(ctx, sides, admissionregistrationv1.Ignore, nil, nil, out); err != nil {
		return err
	}
	if err := s.settle(ctx, api.secrets, p.Namespace, p.SecretName); err != nil {
		return err
	}
	ca, err := readCA(ctx, api.secrets, p.Namespace, p.SecretName)
	if err != nil {
		return err
	}
	if err := apply(ctx, sides, "", ca, nil, out); err != nil {
		return err
	}
	return apply(ctx, sides, admissionregistrationv1.Fail, ca, prove, out)
}

// side is one of the two configurations and the policy asked for it.
type side struct {
	store
	name   string
	policy admissionregistrationv1.FailurePolicyType
}

func (s side) String() string { return s.kind + " " + s.name }

func selectedSides(api cluster, p Patch) []side {
	var sides []side
	if p.Validating.Selected {
		sides = append(sides, side{validatingStore(api.webhooks), p.WebhookName, p.Validating.FailurePolicy})
	}
	if p.Mutating.Selected {
		sides = append(sides, side{mutatingStore(api.webhooks), p.WebhookName, p.Mutating.FailurePolicy})
	}
	return sides
}

// apply sets the CA and the policy on the sides that asked for that policy; an
// empty policy stands for all of them and is not set.
func apply(ctx context.Context, sides []side, policy admissionregistrationv1.FailurePolicyType, ca []byte, prove *prover, out io.Writer) error {
	for _, s := range sides {
		if policy != "" && s.policy != policy {
			continue
		}
		if err := s.change(ctx, want{caBundle: ca, failurePolicy: policy}, prove, out); err != nil {
			return err
		}
	}
	return nil
}

// change reads, decides and writes, and does so again if somebody else wrote
// in between: what is proven of a configuration is proven of the very version
// that the patch applies to.
func (s side) change(ctx context.Context, w want, prove *prover, out io.Writer) error {
	return retry.RetryOnConflict(patience, func() error {
		found, err := s.get(ctx, s.name)
		if err != nil {
			return explain(err, s.String(), "deploy/05-webhookconfigure.yaml")
		}
		changes := w.changesTo(found, time.Now())
		if len(changes) == 0 {
			fmt.Fprintf(out, "%s: %s set already, nothing to change\n", s, w)
			return nil
		}
		if prove != nil {
			if err := prove.all(ctx, targets(changes), w.caBundle); err != nil {
				return fmt.Errorf("%s keeps its failure policy: %w", s, err)
			}
		}
		if err := s.patch(ctx, s.name, mergePatch(found.resourceVersion, changes)); err != nil {
			return explain(err, s.String(), "deploy/05-webhookconfigure.yaml")
		}
		fmt.Fprintf(out, "%s: %s set\n", s, w)
		return nil
	})
}

// readCA returns the bundle as it stands in the Secret, once it is known to be
// certificates and nothing else.
func readCA(ctx context.Context, secrets coreclient.SecretsGetter, namespace, name string) ([]byte, error) {
	what := fmt.Sprintf("Secret %s/%s", namespace, name)
	secret, err := secrets.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, explain(err, what, "deploy/03-certgen.yaml")
	}
	ca := secret.Data[caKey]
	if _, err := parseCertificates(ca); err != nil {
		return nil, fmt.Errorf("%s: key %q is no CA bundle: %w: run certgen create, which repairs it", what, caKey, err)
	}
	return ca, nil
}
