// Package verb is what certgen can be asked for, as values: the verbs with
// their flags, and for each the calls it makes to the Kubernetes API.
//
// It does nothing itself. The program carries a Command out; the tests of the
// manifests read from it whether the arguments of a Job are understood and
// whether its rights are the ones it needs, no more and no less.
package verb

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Command is a Create or a Patch.
type Command interface {
	// Calls lists every call to the Kubernetes API that carrying the command
	// out may make.
	Calls() []Call
	// API returns the kubeconfig of the API to call; empty: the one around it.
	API() string
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

// Call is one kind of request, in the words of an RBAC rule.
type Call struct {
	Verb      string
	Group     string
	Resource  string
	Namespace string // empty: cluster-wide
	Name      string // empty: a create, whose object has no name yet for RBAC
}

// Calls of Create: it reads the Secret, makes it where it is missing and
// updates it where it is not sound.
func (c Create) Calls() []Call {
	secret := Call{Resource: "secrets", Namespace: c.Namespace}
	return []Call{
		secret.with("get", c.SecretName),
		secret.with("create", ""),
		secret.with("update", c.SecretName),
	}
}

// API of Create is its --kubeconfig.
func (c Create) API() string { return c.Kubeconfig }

// API of Patch is its --kubeconfig.
func (p Patch) API() string { return p.Kubeconfig }

// Calls of Patch: it reads the Secret, and reads and patches each selected
// configuration.
func (p Patch) Calls() []Call {
	calls := []Call{{Verb: "get", Resource: "secrets", Namespace: p.Namespace, Name: p.SecretName}}
	for _, side := range []struct {
		Side
		resource string
	}{
		{p.Validating, "validatingwebhookconfigurations"},
		{p.Mutating, "mutatingwebhookconfigurations"},
	} {
		if side.Selected {
			configuration := Call{Group: admissionregistrationv1.GroupName, Resource: side.resource}
			calls = append(calls, configuration.with("get", p.WebhookName), configuration.with("patch", p.WebhookName))
		}
	}
	return calls
}

func (c Call) with(verb, name string) Call {
	c.Verb, c.Name = verb, name
	return c
}
