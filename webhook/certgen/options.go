package certgen

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Command is a Create or a Patch.
type Command interface {
	// KubeconfigPath returns the kubeconfig file of the API server to call; empty: the
	// pod's service account, else the file that kubectl would use.
	KubeconfigPath() string
}

// Create asks for a Secret with a sound certificate for the hosts.
type Create struct {
	Hosts      []string
	Namespace  string
	SecretName string
	Kubeconfig string
}

// Patch asks for the CA of the Secret in the webhook configurations.
type Patch struct {
	WebhookName string
	Namespace   string
	SecretName  string
	Kubeconfig  string
	Validating  Side
	Mutating    Side
	// Timeout bounds the wait for the server's answer before Fail is set.
	Timeout time.Duration
}

// Side is what is wanted of one of the two webhook configurations.
type Side struct {
	Selected bool
	// FailurePolicy is Ignore, Fail, or empty: leave it as it is.
	FailurePolicy admissionregistrationv1.FailurePolicyType
}

// KubeconfigPath of Create is its --kubeconfig.
func (c Create) KubeconfigPath() string { return c.Kubeconfig }

// KubeconfigPath of Patch is its --kubeconfig.
func (p Patch) KubeconfigPath() string { return p.Kubeconfig }
