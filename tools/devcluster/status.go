package devcluster

import (
	"context"
	"fmt"
	"io"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// State is the state of a cluster.
type State string

// Absent, Dead and Ready are the states of a cluster.
const (
	Absent State = "Absent" // kind lists no nodes
	Dead   State = "Dead"   // the API server does not answer, or the creation was interrupted
	Ready  State = "Ready"  // the API server answers
)

// State returns the cluster's state, according to kind and the API server.
func (c *Cluster) State(ctx context.Context) (State, error) {
	listed, err := c.isListed()
	switch {
	case err != nil:
		return "", err
	case !listed:
		return Absent, nil
	case !c.isReady(ctx):
		return Dead, nil
	}
	return Ready, nil
}

// PrintStatus writes the state of the cluster as rows with tab-separated columns. The state of the
// webhook in it is the output of `kubectl image-webhook status`.
func (c *Cluster) PrintStatus(ctx context.Context, table io.Writer) (State, error) {
	state, err := c.State(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(table, "CLUSTER\t%s (kind on %s)\nSTATE\t%s\n", c.Name, c.Engine.Name, state)
	if state != Ready {
		return state, nil
	}
	if release, err := c.release(); err == nil {
		fmt.Fprintf(table, "KUBERNETES\t%s\n", release)
	}
	if found, err := c.nodes(); err == nil {
		fmt.Fprintf(table, "NODES\t%d\n", len(found))
	}
	fmt.Fprintf(table, "KUBECONFIG\t%s\nKUBECTL\t%s\n", c.Kubeconfig(), c.KubectlPath())
	return state, nil
}

// registration is one webhook in a webhook configuration.
type registration struct {
	policy       admissionregistrationv1.FailurePolicyType
	wantedPolicy admissionregistrationv1.FailurePolicyType // after a complete installation
	caBundle     []byte
}

// registrations returns the registered webhooks of this project.
func registrations(ctx context.Context, admission admissionclient.AdmissionregistrationV1Interface) (found []registration) {
	for _, configuration := range []struct {
		name         string
		wantedPolicy admissionregistrationv1.FailurePolicyType
	}{
		{"image-webhook", admissionregistrationv1.Fail},
		{"image-webhook-warnings", admissionregistrationv1.Ignore},
	} {
		if v, err := admission.ValidatingWebhookConfigurations().Get(ctx, configuration.name, metav1.GetOptions{}); err == nil {
			for _, hook := range v.Webhooks {
				found = append(found, registration{*hook.FailurePolicy, configuration.wantedPolicy, hook.ClientConfig.CABundle})
			}
		}
	}
	if m, err := admission.MutatingWebhookConfigurations().Get(ctx, "image-webhook", metav1.GetOptions{}); err == nil {
		for _, hook := range m.Webhooks {
			found = append(found, registration{*hook.FailurePolicy, admissionregistrationv1.Ignore, hook.ClientConfig.CABundle})
		}
	}
	return found
}

// complete reports whether the Job of 06 has set the CA and the failure policy.
func (r registration) complete() bool { return len(r.caBundle) > 0 && r.policy == r.wantedPolicy }
