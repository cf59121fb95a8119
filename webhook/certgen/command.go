package certgen

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Command is a Create, a Patch or a Renew.
type Command interface {
	// KubeconfigPath returns the kubeconfig file. If it is empty, certgen uses the pod's
	// service account, or outside of a pod the file that kubectl uses.
	KubeconfigPath() string
}

// Create ensures that the Secret has a valid certificate for the hosts, and that the API servers
// trust it before a server uses it.
type Create struct {
	Hosts      []string
	Namespace  string
	SecretName string
	Kubeconfig string
	Validity   time.Duration // of a new certificate
	Settle     time.Duration // how long the API servers must have had a new CA
}

// Renew does what Create does. Then it removes CAs that no replica needs from the webhook
// configurations, and repairs what other clients have changed.
type Renew struct {
	Create
	// Timeout limits the wait for verdicts before Fail is set.
	Timeout time.Duration
}

// Patch writes the CA of the Secret into the webhook configurations.
type Patch struct {
	WebhookName string
	Namespace   string
	SecretName  string
	Kubeconfig  string
	Validating  ConfigurationPatch
	Mutating    ConfigurationPatch
	// Timeout limits the wait for verdicts before Fail is set.
	Timeout time.Duration
}

// ConfigurationPatch describes the change of one webhook configuration.
type ConfigurationPatch struct {
	Selected bool
	// FailurePolicy is Ignore or Fail; empty: the current policy.
	FailurePolicy admissionregistrationv1.FailurePolicyType
}

// KubeconfigPath returns the value of --kubeconfig.
func (c Create) KubeconfigPath() string { return c.Kubeconfig }

// KubeconfigPath returns the value of --kubeconfig.
func (p Patch) KubeconfigPath() string { return p.Kubeconfig }
