package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// formFile returns the path of the file that exists if the cluster has the hybrid form.
func (c *Cluster) formFile() string { return filepath.Join(c.dir, "hybrid") }

// Hybrid reports whether the cluster has the hybrid form: as the variable HYBRID requests, or else as
// the last Up or Install.
func (c *Cluster) Hybrid() (bool, error) {
	switch requested := os.Getenv("HYBRID"); requested {
	case "1":
		return true, nil
	case "0":
		return false, nil
	case "":
	default:
		return false, fmt.Errorf("invalid HYBRID %q: use 1 or 0, or unset it", requested)
	}
	_, err := os.Stat(c.formFile())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// recordForm records the form for later commands.
func (c *Cluster) recordForm(hybrid bool) error {
	if hybrid {
		return renameio.WriteFile(c.formFile(), nil, 0o644)
	}
	if err := os.Remove(c.formFile()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// hasOnlyForm reports whether the objects of one form exist and none that only the other form has.
func hasOnlyForm(ctx context.Context, hybrid bool, admission admissionclient.AdmissionregistrationV1Interface) bool {
	_, noWebhook := admission.ValidatingWebhookConfigurations().Get(ctx, deploy.DenyingConfiguration, metav1.GetOptions{})
	_, noPolicy := admission.ValidatingAdmissionPolicies().Get(ctx, deploy.DenyingPolicy, metav1.GetOptions{})
	_, noBinding := admission.ValidatingAdmissionPolicyBindings().Get(ctx, deploy.DenyingPolicy, metav1.GetOptions{})
	if hybrid {
		return apierrors.IsNotFound(noWebhook) && noPolicy == nil && noBinding == nil
	}
	return noWebhook == nil && apierrors.IsNotFound(noPolicy) && apierrors.IsNotFound(noBinding)
}

// finishForm waits until the form denies, and deletes what only the other form has.
func (c *Cluster) finishForm(ctx context.Context, hybrid bool) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	if hybrid {
		err := c.report.Step("wait until the policy denies", func(step *progress.Step) error {
			return probe.WaitPolicyDenies(ctx, config, step)
		})
		if err != nil {
			return err
		}
	}
	return c.Kubectl(deploy.Leftovers(hybrid)...).Run(ctx)
}
