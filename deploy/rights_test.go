package deploy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// call is one kind of request, as RBAC sees it.
type call struct {
	Verb, Group, Resource string
	Namespace             string // empty: cluster-scoped
	Name                  string // empty: create, for which RBAC does not know the name
}

type calls map[call]bool

// callsOf returns the requests of a certgen command. The tests of package certgen compare the
// same list with the requests that it sends.
func callsOf(command certgen.Command) (used []call) {
	secret := func(verb, namespace, name string) {
		used = append(used, call{verb, "", "secrets", namespace, name})
	}
	configuration := func(resource, name string) {
		for _, verb := range []string{"get", "patch"} {
			used = append(used, call{verb, admissionregistrationv1.GroupName, resource, "", name})
		}
	}
	replicas := func(namespace string) {
		used = append(used, call{"list", discoveryv1.GroupName, "endpointslices", namespace, ""})
	}
	apiServers := func() {
		used = append(used, call{"get", discoveryv1.GroupName, "endpointslices", metav1.NamespaceDefault, "kubernetes"})
	}
	probe := func(namespace string) {
		used = append(used, call{"create", "", "pods", namespace + "-probe", ""})
	}
	switch c := command.(type) {
	case certgen.Renew:
		probe(c.Namespace)
		for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
			used = append(used, call{"get", admissionregistrationv1.GroupName, resource, "", deploy.DenyingPolicy})
		}
		return append(used, callsOf(c.Create)...)
	case certgen.Create:
		secret("get", c.Namespace, c.SecretName)
		secret("create", c.Namespace, "")
		secret("update", c.Namespace, c.SecretName)
		replicas(c.Namespace)
		apiServers()
		for _, name := range []string{"image-webhook", "image-webhook-warnings"} {
			configuration("validatingwebhookconfigurations", name)
		}
		for _, name := range []string{"image-webhook", "image-webhook-namespace-owner"} {
			configuration("mutatingwebhookconfigurations", name)
		}
	case certgen.Patch:
		secret("get", c.Namespace, c.SecretName)
		if c.Validating.FailurePolicy == admissionregistrationv1.Fail || c.Mutating.FailurePolicy == admissionregistrationv1.Fail {
			apiServers()
			probe(c.Namespace)
		}
		if c.Validating.Selected {
			configuration("validatingwebhookconfigurations", c.WebhookName)
		}
		if c.Mutating.Selected {
			configuration("mutatingwebhookconfigurations", c.WebhookName)
		}
	}
	return used
}

func TestServiceAccountsHaveOnlyUsedPermissions(t *testing.T) {
	objects := load(t)
	want := map[string]calls{}
	for _, account := range objectsOfType[*corev1.ServiceAccount](objects) {
		want[account.Name] = calls{}
	}
	for _, o := range objects {
		template, _ := o.podTemplate()
		for _, command := range commandsOf(t, o) {
			for _, used := range callsOf(command) {
				want[template.Spec.ServiceAccountName].add(used, acceptsRetiredImage(o))
			}
		}
	}
	for account, used := range want {
		if diff := cmp.Diff(used, granted(objects, account)); diff != "" {
			t.Errorf("ServiceAccount %s (-used +granted):\n%s", account, diff)
		}
	}
}

// acceptsRetiredImage reports whether the retired kube-webhook-certgen accepts the arguments of a Job
// that patches, so that its image can replace ours.
func acceptsRetiredImage(o object) bool { return o.GetName() == "patch-webhookconfigure" }

// add adds a call. With retired, it also adds the update that the retired kube-webhook-certgen
// sends instead of a patch.
func (c calls) add(used call, retired bool) {
	c[used] = true
	if retired && used.Group == admissionregistrationv1.GroupName && used.Verb == "patch" {
		used.Verb = "update"
		c[used] = true
	}
}

// granted returns the calls that the roles bound to a service account allow.
func granted(objects []object, account string) calls {
	granted := calls{}
	for _, binding := range objectsOfType[*rbacv1.RoleBinding](objects) {
		for _, role := range objectsOfType[*rbacv1.Role](objects) {
			if bound(binding.Subjects, account) && binding.RoleRef.Kind == "Role" && binding.RoleRef.Name == role.Name && binding.Namespace == role.Namespace {
				granted.allow(role.Namespace, role.Rules)
			}
		}
	}
	for _, binding := range objectsOfType[*rbacv1.ClusterRoleBinding](objects) {
		for _, role := range objectsOfType[*rbacv1.ClusterRole](objects) {
			if bound(binding.Subjects, account) && binding.RoleRef.Name == role.Name {
				granted.allow("", role.Rules)
			}
		}
	}
	return granted
}

func bound(subjects []rbacv1.Subject, account string) bool {
	for _, s := range subjects {
		if s.Kind != rbacv1.ServiceAccountKind || s.Namespace == namespace && s.Name == account {
			return true // a user or a group could be any account
		}
	}
	return false
}

func (c calls) allow(namespace string, rules []rbacv1.PolicyRule) {
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""} // any
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, v := range rule.Verbs {
						c[call{Verb: v, Group: group, Resource: resource, Namespace: namespace, Name: name}] = true
					}
				}
			}
		}
	}
}

func TestOnlyPodsThatUseATokenHaveOne(t *testing.T) {
	objects := load(t)
	for _, account := range objectsOfType[*corev1.ServiceAccount](objects) {
		if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
			t.Errorf("ServiceAccount %s mounts its token by default", account.Name)
		}
	}
	for _, o := range objects {
		template, ok := o.podTemplate()
		if !ok {
			continue
		}
		needed := len(granted(objects, template.Spec.ServiceAccountName)) > 0 && !hasTokenVolume(template)
		if mount := template.Spec.AutomountServiceAccountToken; mount == nil || *mount != needed {
			t.Errorf("%s: automountServiceAccountToken is not %t", o, needed)
		}
	}
}

// hasTokenVolume reports whether a pod mounts a token of its own, which expires soon after the pod
// has ended.
func hasTokenVolume(template corev1.PodTemplateSpec) bool {
	for _, v := range template.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if token := source.ServiceAccountToken; token != nil && token.ExpirationSeconds != nil && *token.ExpirationSeconds == 600 {
				return true
			}
		}
	}
	return false
}
