package deploy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

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
	switch c := command.(type) {
	case certgen.Create:
		secret("get", c.Namespace, c.SecretName)
		secret("create", c.Namespace, "")
		secret("update", c.Namespace, c.SecretName)
	case certgen.Patch:
		secret("get", c.Namespace, c.SecretName)
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
	for _, job := range objectsOfType[*batchv1.Job](objects) {
		for _, command := range jobCommands(t, job) {
			for _, used := range callsOf(command) {
				want[job.Spec.Template.Spec.ServiceAccountName].add(used)
			}
		}
	}
	for account, used := range want {
		if diff := cmp.Diff(used, granted(objects, account)); diff != "" {
			t.Errorf("ServiceAccount %s (-used +granted):\n%s", account, diff)
		}
	}
}

// add adds a call. For a patch it also adds the update that the retired kube-webhook-certgen
// sends instead.
func (c calls) add(used call) {
	c[used] = true
	if used.Group == admissionregistrationv1.GroupName && used.Verb == "patch" {
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
		needed := len(granted(objects, template.Spec.ServiceAccountName)) > 0
		if mount := template.Spec.AutomountServiceAccountToken; mount == nil || *mount != needed {
			t.Errorf("%s: automountServiceAccountToken is not %t", o, needed)
		}
	}
}
