package deploy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// criticalClass is the priority class of every pod that the project installs. Pods of the same class
// cannot preempt each other.
const criticalClass = "system-cluster-critical"

func TestPodsHaveTheCriticalPriorityClass(t *testing.T) {
	templates := 0
	for _, o := range slices.Concat(load(t), loadNamespaceOwner(t)) {
		template, ok := o.podTemplate()
		if !ok {
			continue
		}
		templates++
		if o.GetNamespace() != namespace {
			t.Errorf("%s is in namespace %q, which has no quota for its priority class", o, o.GetNamespace())
		}
		if got := template.Spec.PriorityClassName; got != criticalClass {
			t.Errorf("%s: priority class %q, want %q: otherwise users can preempt its pods, or keep them Pending", o, got, criticalClass)
		}
	}
	if templates < 5 {
		t.Errorf("%d pod templates were checked, want at least 5: the check is broken", templates)
	}
}

func TestQuotaPermitsCriticalPodsAndRefusesNone(t *testing.T) {
	quotas := objectsOfType[*corev1.ResourceQuota](load(t))
	index := slices.IndexFunc(quotas, func(q *corev1.ResourceQuota) bool { return q.Namespace == namespace })
	if index < 0 {
		t.Fatal("the namespace has no quota")
	}
	got := quotas[index].Spec
	want := []corev1.ScopedResourceSelectorRequirement{{
		ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{criticalClass},
	}}
	if diff := cmp.Diff(want, got.ScopeSelector.MatchExpressions); diff != "" {
		t.Errorf("scope (-want +got):\n%s", diff)
	}
	if pods := got.Hard.Pods(); len(got.Hard) != 1 || pods.Value() < 1_000_000 || len(got.Scopes) > 0 {
		t.Errorf("the quota %v with scopes %v could refuse a pod", got.Hard, got.Scopes)
	}
}
