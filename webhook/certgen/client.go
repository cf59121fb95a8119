package certgen

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// cluster is the part of the API that certgen speaks to. The two groups alone,
// not the whole clientset, keep the binary at half its size.
type cluster struct {
	secrets  coreclient.SecretsGetter
	webhooks admissionclient.AdmissionregistrationV1Interface
}

func connect(config *rest.Config) (cluster, error) {
	secrets, err := coreclient.NewForConfig(config)
	if err != nil {
		return cluster{}, fmt.Errorf("cluster configuration: %w", err)
	}
	webhooks, err := admissionclient.NewForConfig(config)
	if err != nil {
		return cluster{}, fmt.Errorf("cluster configuration: %w", err)
	}
	return cluster{secrets, webhooks}, nil
}

// patience is how often a write that somebody else got ahead of is decided anew:
// for some five seconds, which sees several runs at once through.
var patience = wait.Backoff{Steps: 9, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 1}

// explain adds what to do about an answer of the API server where that is
// known. What is named is the object that the call was about.
func explain(err error, what, madeBy string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w: apply %s, which makes it", what, err, madeBy)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w: grant it, as deploy/02-rbac.yaml does", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
