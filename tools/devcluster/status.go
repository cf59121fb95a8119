package devcluster

import (
	"context"
	"fmt"
	"io"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// State is how a cluster is.
type State string

// The states of a cluster.
const (
	Absent State = "Absent" // kind knows no nodes of it
	Dead   State = "Dead"   // listed, but it does not answer or was never finished; `up` replaces it
	Ready  State = "Ready"  // its API server answers
)

// State asks kind and the API server.
func (c *Cluster) State(ctx context.Context) (State, error) {
	listed, err := c.listed()
	switch {
	case err != nil:
		return "", err
	case !listed:
		return Absent, nil
	case !c.alive(ctx):
		return Dead, nil
	}
	return Ready, nil
}

// PrintStatus writes how the cluster and the webhook in it are, as rows whose
// columns are set apart by tabs.
func (c *Cluster) PrintStatus(ctx context.Context, table io.Writer) (State, error) {
	state, err := c.State(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(table, "CLUSTER\t%s (kind on %s)\nSTATE\t%s\n", c.Name, c.Engine.Name, state)
	if state != Ready {
		return state, nil
	}
	if running, err := c.release(); err == nil {
		fmt.Fprintf(table, "KUBERNETES\t%s\n", running)
	}
	fmt.Fprintf(table, "KUBECONFIG\t%s\nKUBECTL\t%s\n", c.Kubeconfig(), c.KubectlPath())
	return state, c.printWebhook(ctx, table)
}

// printWebhook leaves out what is not installed.
func (c *Cluster) printWebhook(ctx context.Context, table io.Writer) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	deployment, err := client.AppsV1().Deployments("image-webhook").Get(ctx, "webhook", metav1.GetOptions{})
	if err != nil {
		fmt.Fprintf(table, "WEBHOOK\tnot installed (%v)\n", err)
		return nil
	}
	fmt.Fprintf(table, "WEBHOOK\t%d/%d pods ready, image %s\n", deployment.Status.ReadyReplicas,
		deployment.Status.Replicas, deployment.Spec.Template.Spec.Containers[0].Image)
	printRegistrations(ctx, client.AdmissionregistrationV1(), table)
	return nil
}

// printRegistrations writes a line for each webhook that the API server knows of.
func printRegistrations(ctx context.Context, admission admissionclient.AdmissionregistrationV1Interface, table io.Writer) {
	for _, each := range registrations(ctx, admission) {
		fmt.Fprintf(table, "%s\t%s\n", each.side, each)
	}
}

// registration is what the API server knows of a webhook.
type registration struct {
	side, name string
	policy     admissionregistrationv1.FailurePolicyType
	wanted     admissionregistrationv1.FailurePolicyType // at the end of an installation
	caBundle   []byte
}

// registrations are those of all webhooks that there are.
func registrations(ctx context.Context, admission admissionclient.AdmissionregistrationV1Interface) (found []registration) {
	const validating, mutating = "VALIDATING", "MUTATING"
	for _, configuration := range []struct {
		name   string
		wanted admissionregistrationv1.FailurePolicyType
	}{
		{"image-webhook", admissionregistrationv1.Fail},
		{"image-webhook-warnings", admissionregistrationv1.Ignore},
	} {
		if v, err := admission.ValidatingWebhookConfigurations().Get(ctx, configuration.name, metav1.GetOptions{}); err == nil {
			for _, hook := range v.Webhooks {
				found = append(found, registration{validating, hook.Name, *hook.FailurePolicy, configuration.wanted, hook.ClientConfig.CABundle})
			}
		}
	}
	if m, err := admission.MutatingWebhookConfigurations().Get(ctx, "image-webhook", metav1.GetOptions{}); err == nil {
		for _, hook := range m.Webhooks {
			found = append(found, registration{mutating, hook.Name, *hook.FailurePolicy, admissionregistrationv1.Ignore, hook.ClientConfig.CABundle})
		}
	}
	return found
}

// finished says whether the Job of 06 has done its work on the webhook.
func (r registration) finished() bool { return len(r.caBundle) > 0 && r.policy == r.wanted }

// String describes the webhook, and what is missing from a finished installation.
func (r registration) String() string {
	described := fmt.Sprintf("%s, failurePolicy %s, with a caBundle", r.name, r.policy)
	if len(r.caBundle) == 0 {
		described = fmt.Sprintf("%s, failurePolicy %s, NO caBundle: the API server cannot call it", r.name, r.policy)
	}
	if !r.finished() {
		described += " (unfinished: the Job of deploy/06-patch-webhookconfigure.yaml must run; wanted is " + string(r.wanted) + ")"
	}
	return described
}
