package celpolicy

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

// registration is when the API server calls a webhook of deploy/05. A policy applies to the same requests.
type registration struct {
	rules      []admissionregistrationv1.RuleWithOperations
	conditions []admissionregistrationv1.MatchCondition
	namespaces *metav1.LabelSelector
}

// registrations returns the registrations by the names of the webhooks. It panics if the manifest is invalid,
// because the manifest is part of the program.
func registrations() map[string]registration {
	found := map[string]registration{}
	for _, file := range deploy.Files() {
		documents, err := deploy.Documents(file.Content)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", file.Name, err))
		}
		for _, document := range documents {
			// The fields that are read are the same for validating and mutating webhooks.
			var configuration admissionregistrationv1.ValidatingWebhookConfiguration
			if err := yaml.Unmarshal(document, &configuration); err != nil {
				panic(fmt.Sprintf("%s: %v", file.Name, err))
			}
			for _, w := range configuration.Webhooks {
				found[w.Name] = registration{w.Rules, w.MatchConditions, w.NamespaceSelector}
			}
		}
	}
	return found
}

// exclude adds a namespace to those that the selector excludes.
func (r registration) exclude(namespace string) {
	for i := range r.namespaces.MatchExpressions {
		if e := &r.namespaces.MatchExpressions[i]; e.Key == corev1.LabelMetadataName {
			e.Values = append(e.Values, namespace)
		}
	}
}

// constraints returns the requests that the policy applies to.
func (r registration) constraints() *admissionregistrationv1.MatchResources {
	equivalent := admissionregistrationv1.Equivalent
	match := &admissionregistrationv1.MatchResources{MatchPolicy: &equivalent}
	for _, rule := range r.rules {
		match.ResourceRules = append(match.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	return match
}
