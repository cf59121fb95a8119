package certgen

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryclient "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
)

// apiClients contains the clients for the API groups that certgen uses. The whole
// clientset would double the size of the binary.
type apiClients struct {
	core     coreclient.CoreV1Interface
	webhooks admissionclient.AdmissionregistrationV1Interface
	slices   discoveryclient.EndpointSlicesGetter
}

func connect(config *rest.Config) (apiClients, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	core, err := coreclient.NewForConfigAndClient(config, client)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	webhooks, err := admissionclient.NewForConfigAndClient(config, client)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	slices, err := discoveryclient.NewForConfigAndClient(config, client)
	if err != nil {
		return apiClients{}, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	return apiClients{core, webhooks, slices}, nil
}

// conflictBackoff limits how often a write is repeated after a conflict. Its five
// seconds are enough for several concurrent runs.
var conflictBackoff = wait.Backoff{Steps: 9, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 1}

// The manifests that create what certgen needs.
const (
	namespaceManifest    = "deploy/01-namespace.yaml"
	rightsManifest       = "deploy/02-rbac.yaml"
	secretManifest       = "deploy/03-certgen.yaml"
	registrationManifest = "deploy/05-webhookconfigure.yaml"
)

// explain adds the object of the request to an error of the API server, and what to
// do if that is known. manifest is the file that creates a missing object.
func explain(err error, object, manifest string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w: apply %s, which creates it", object, err, manifest)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w: grant this permission as in %s", object, err, rightsManifest)
	}
	return fmt.Errorf("%s: %w", object, err)
}
