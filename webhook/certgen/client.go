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

// apiClients contains the clients for the API groups that certgen uses. The whole
// clientset would double the size of the binary.
type apiClients struct {
	secrets  coreclient.SecretsGetter
	webhooks admissionclient.AdmissionregistrationV1Interface
}

func connect(config *rest.Config) (apiClients, error) {
	secrets, err := coreclient.NewForConfig(config)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	webhooks, err := admissionclient.NewForConfig(config)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	return apiClients{secrets, webhooks}, nil
}

// conflictBackoff limits how often a write is repeated after a conflict. Its five
// seconds are enough for several concurrent runs.
var conflictBackoff = wait.Backoff{Steps: 9, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 1}

// explain adds the object of the request to an error of the API server, and what to
// do if that is known. manifest is the file that creates a missing object.
func explain(err error, object, manifest string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w: apply %s, which creates it", object, err, manifest)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w: grant this permission as in deploy/02-rbac.yaml", object, err)
	}
	return fmt.Errorf("%s: %w", object, err)
}
