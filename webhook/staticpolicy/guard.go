package staticpolicy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
)

// guardName is the name of the policy that protects the objects of image-webhook in the API.
const guardName = celpolicy.Name + "-guard" + Suffix

// controllers are the users of kube-controller-manager that delete objects for others: those of a namespace
// that a user deletes, and those with owners. The first is their user without service accounts.
var controllers = []string{
	"system:kube-controller-manager",
	"system:serviceaccount:kube-system:generic-garbage-collector",
	"system:serviceaccount:kube-system:namespace-controller",
}

// The expressions of the guard. The old object is the object of UPDATE and DELETE. Its name is also known if
// a request deletes a collection.
const (
	protected = `oldObject != null && (request.resource.resource == 'cronjobs' ?
  request.namespace == 'image-webhook' && oldObject.metadata.name == 'renew' :
  oldObject.metadata.name == 'image-webhook' || oldObject.metadata.name.startsWith('image-webhook-'))`
	// Controllers and users may change labels, annotations and finalizers, and write an object again without
	// a change. The garbage collector would delete an object because of its owners.
	unchanged = `request.operation == 'UPDATE' &&
object.?spec == oldObject.?spec && object.?webhooks == oldObject.?webhooks &&
object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences`
	// fixed are the fields of webhooks that the programs do not change: all but the CA and the failure policy.
	fixed = `.?webhooks.orValue([]).map(w, [w.?name, w.?clientConfig.?service, w.?clientConfig.?url, w.?rules, w.?matchConditions,
  w.?namespaceSelector, w.?objectSelector, w.?matchPolicy, w.?sideEffects, w.?timeoutSeconds, w.?admissionReviewVersions, w.?reinvocationPolicy])`
	// The programs set Fail. Only users make a webhook unnecessary.
	byProgram = `request.operation == 'UPDATE' && request.resource.resource.endsWith('webhookconfigurations') &&
object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences &&
object` + fixed + ` == oldObject` + fixed + ` &&
object.webhooks.all(w, w.?failurePolicy == optional.of('Fail') ||
  oldObject.webhooks.exists(o, o.name == w.name && o.?failurePolicy == w.?failurePolicy))`
)

// addGuard adds a policy that refuses to change or delete the objects of image-webhook in the API, except for
// the named users, and its binding. It does not apply to other objects, and never prevents the deletion of a
// namespace.
func addGuard(o *celpolicy.Objects, admins []string) {
	fail, forbidden := admissionregistrationv1.Fail, metav1.StatusReasonForbidden
	o.Validating = append(o.Validating, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: guardMeta(), Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &fail,
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
			guarded("admissionregistration.k8s.io", admissionregistrationv1.ClusterScope,
				"validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
				"validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
			guarded("batch", admissionregistrationv1.NamespacedScope, "cronjobs"),
		}},
		MatchConditions: []admissionregistrationv1.MatchCondition{
			{Name: "protected", Expression: protected},
			{Name: "other-users", Expression: "!(request.userInfo.username in " + list(slices.Concat(admins, controllers)) + ")"},
			{Name: "changed", Expression: "!(" + unchanged + ")"},
			{Name: "not-a-program", Expression: "!(request.userInfo.username in " + list(celpolicy.Programs) + " && " + byProgram + ")"},
		},
		Validations: []admissionregistrationv1.Validation{{
			Expression:        "false",
			Message:           "the object is protected by files on the control-plane nodes",
			MessageExpression: "request.kind.kind + ' ' + oldObject.metadata.name + " + strconv.Quote(" is protected by files on the control-plane nodes: "+remedy(admins)),
			Reason:            &forbidden,
		}},
	}})
	o.ValidatingBindings = append(o.ValidatingBindings, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: guardMeta(), Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: guardName, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	})
}

func guardMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: guardName, Labels: map[string]string{"app.kubernetes.io/name": "image-webhook", "app.kubernetes.io/component": "guard"}}
}

// guarded returns a rule for changes and deletions in all versions of a group.
func guarded(group string, scope admissionregistrationv1.ScopeType, resources ...string) (r admissionregistrationv1.NamedRuleWithOperations) {
	r.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Update, admissionregistrationv1.Delete}
	r.Rule = admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources, Scope: &scope}
	return r
}

// remedy returns what a refused user can do.
func remedy(admins []string) string {
	if len(admins) == 0 {
		return "change them there"
	}
	return "ask " + strings.Join(admins, " or ")
}

// list returns a list of strings in CEL, which has the escapes of Go.
func list(items []string) string {
	var quoted []string
	for _, item := range items {
		quoted = append(quoted, strconv.Quote(item))
	}
	return fmt.Sprintf("[%s]", strings.Join(quoted, ", "))
}
