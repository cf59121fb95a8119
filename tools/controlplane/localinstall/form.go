package localinstall

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// formManifests returns the manifests of the form.
func (i *Installation) formManifests() []deploy.File {
	switch {
	case !i.Hybrid:
		return deploy.Files()
	case i.Policy == "":
		return deploy.HybridFiles()
	}
	return deploy.WithPolicy(deploy.HybridFiles(), i.Policy)
}

// finishForm waits until the form denies, and deletes what only the other form has.
func (i *Installation) finishForm(ctx context.Context, step *progress.Step) error {
	api, options := i.client.AdmissionregistrationV1(), metav1.DeleteOptions{}
	if i.Hybrid {
		if err := probe.WaitPolicyDenies(ctx, i.Server.Config, step); err != nil {
			return err
		}
		return ignoreMissing(api.ValidatingWebhookConfigurations().Delete(ctx, deploy.DenyingConfiguration, options))
	}
	return errors.Join(
		ignoreMissing(api.ValidatingAdmissionPolicyBindings().Delete(ctx, deploy.DenyingPolicy, options)),
		ignoreMissing(api.ValidatingAdmissionPolicyBindings().Delete(ctx, deploy.WarningBinding, options)),
		ignoreMissing(api.ValidatingAdmissionPolicies().Delete(ctx, deploy.DenyingPolicy, options)),
	)
}

func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
