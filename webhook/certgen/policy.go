package certgen

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// denyingPolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that deny in the hybrid
// form. There, the configuration of the webhook that denies does not exist.
const denyingPolicy = "image-webhook"

// checkPolicy returns nil if the policy and its binding exist. missing is the error that the
// configuration does not exist.
func (s session) checkPolicy(ctx context.Context, m namedConfiguration, missing error) error {
	_, err := s.webhooks.ValidatingAdmissionPolicies().Get(ctx, denyingPolicy, metav1.GetOptions{})
	if err == nil {
		_, err = s.webhooks.ValidatingAdmissionPolicyBindings().Get(ctx, denyingPolicy, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w, and %w: apply %s and then deploy/06-patch-webhookconfigure.yaml, or in the hybrid form deploy/hybrid/policy.yaml",
			m, missing, err, registrationManifest)
	}
	return explain(err, "ValidatingAdmissionPolicy "+denyingPolicy, "")
}
