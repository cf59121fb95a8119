package certgen

import (
	"bytes"
	"encoding/json"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// desiredState contains the fields that every webhook of a configuration must have. An
// empty field keeps its present value.
type desiredState struct {
	caBundle      []byte
	failurePolicy admissionregistrationv1.FailurePolicyType
}

func (d desiredState) String() string {
	if d.failurePolicy == "" {
		return "caBundle"
	}
	return "failurePolicy " + string(d.failurePolicy)
}

// webhookUpdate contains the new values of the fields of one webhook that must change.
type webhookUpdate struct {
	webhook webhook
	desiredState
}

// updatesFor returns updates for the webhooks that are not in the desired state. It
// keeps earlier CAs in the bundles: after a lost Secret is replaced, the servers use
// the old certificate until they get the new Secret, and the API server must trust them
// until then.
func (d desiredState) updatesFor(c configuration, now time.Time) []webhookUpdate {
	var updates []webhookUpdate
	for _, hook := range c.webhooks {
		update := webhookUpdate{webhook: hook}
		if len(d.caBundle) > 0 {
			if bundle := appendEarlierCAs(bytes.Clone(d.caBundle), hook.client.CABundle, now); !bytes.Equal(hook.client.CABundle, bundle) {
				update.caBundle = bundle
			}
		}
		if d.failurePolicy != "" && (hook.failurePolicy == nil || *hook.failurePolicy != d.failurePolicy) {
			update.failurePolicy = d.failurePolicy
		}
		if update.caBundle != nil || update.failurePolicy != "" {
			updates = append(updates, update)
		}
	}
	return updates
}

// mergePatch returns a strategic merge patch. The API server merges the list of
// webhooks by name, so fields that this program does not know are kept. The
// resource version makes the patch fail if the configuration has changed since it
// was read.
func mergePatch(resourceVersion string, updates []webhookUpdate) []byte {
	type object map[string]any
	hooks := []object{}
	for _, update := range updates {
		hook := object{"name": update.webhook.name}
		if update.caBundle != nil {
			hook["clientConfig"] = object{"caBundle": update.caBundle}
		}
		if update.failurePolicy != "" {
			hook["failurePolicy"] = update.failurePolicy
		}
		hooks = append(hooks, hook)
	}
	data, err := json.Marshal(object{"metadata": object{"resourceVersion": resourceVersion}, "webhooks": hooks})
	if err != nil {
		panic(err) // cannot happen: the object contains only strings and bytes
	}
	return data
}
