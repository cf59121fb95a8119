package certgen

import (
	"bytes"
	"encoding/json"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// PolicyAnnotation on a configuration records the failure policy that a user requested with
// `certgen patch`. `certgen renew` sets it again after another client has changed the field.
const PolicyAnnotation = "image-webhook.dev/failure-policy"

// configurationChange contains the new values of a configuration's fields.
type configurationChange struct {
	policy   admissionregistrationv1.FailurePolicyType // value of the annotation; empty: unchanged
	webhooks []webhookChange
}

// webhookChange contains the new values of one webhook's fields. Empty fields stay unchanged.
type webhookChange struct {
	name          string
	caBundle      []byte
	failurePolicy admissionregistrationv1.FailurePolicyType
}

func (c configurationChange) isEmpty() bool { return c.policy == "" && len(c.webhooks) == 0 }

// bundleChanges returns changes for the webhooks whose bundle is not the one that wanted returns.
func bundleChanges(webhooks []webhook, wanted func(present []byte) []byte) []webhookChange {
	var changes []webhookChange
	for _, w := range webhooks {
		if bundle := wanted(w.client.CABundle); len(bundle) > 0 && !bytes.Equal(bundle, w.client.CABundle) {
			changes = append(changes, webhookChange{name: w.name, caBundle: bundle})
		}
	}
	return changes
}

// policyChange returns the change that sets and records a failure policy.
func policyChange(found configuration, policy admissionregistrationv1.FailurePolicyType) configurationChange {
	var change configurationChange
	if found.annotations[PolicyAnnotation] != string(policy) {
		change.policy = policy
	}
	for _, w := range found.webhooks {
		if !w.has(policy) {
			change.webhooks = append(change.webhooks, webhookChange{name: w.name, failurePolicy: policy})
		}
	}
	return change
}

// mergePatch returns a strategic merge patch. The API server merges the list of
// webhooks by name, so fields that this program does not know are kept. The
// resource version makes the patch fail if the configuration has changed since it
// was read.
func (c configurationChange) mergePatch(resourceVersion string) []byte {
	type object map[string]any
	metadata := object{"resourceVersion": resourceVersion}
	if c.policy != "" {
		metadata["annotations"] = object{PolicyAnnotation: c.policy}
	}
	patch := object{"metadata": metadata}
	hooks := []object{}
	for _, w := range c.webhooks {
		hook := object{"name": w.name}
		if w.caBundle != nil {
			hook["clientConfig"] = object{"caBundle": w.caBundle}
		}
		if w.failurePolicy != "" {
			hook["failurePolicy"] = w.failurePolicy
		}
		hooks = append(hooks, hook)
	}
	if len(hooks) > 0 {
		patch["webhooks"] = hooks
	}
	data, err := json.Marshal(patch)
	if err != nil {
		panic(err) // cannot happen: the object contains only strings and bytes
	}
	return data
}
