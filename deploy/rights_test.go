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

// call is one kind of request, in the words of an RBAC rule.
type call struct {
	Verb, Group, Resource string
	Namespace             string // empty: cluster-wide
	Name                  string // empty: a create, whose object has no name yet for RBAC
}

type calls map[call]bool

// callsOf returns every request to the API server that certgen makes for a command; the
// tests of package certgen compare the same list with the requests that it really makes.
func callsOf(command certgen.Command) (made []call) {
	secret := func(verb, namespace, name string) {
		made = append(made, call{verb, "", "secrets", namespace, name})
	}
	configuration := func(resource, name string) {
		for _, verb := range []string{"get", "patch"} {
			made = append(made, call{verb, admissionregistrationv1.GroupName, resource, "", name})
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
	return made
}

// Each service account may do what its Job does, and nothing else.
func TestRightsAreWhatTheJobsDo(t *testing.T) {
	objects := load(t)
	want := map[string]calls{}
	for _, account := range all[*corev1.ServiceAccount](objects) {
		want[account.Name] = calls{}
	}
	for _, job := range all[*batchv1.Job](objects) {
		for _, command := range commands(t, job) {
			for _, made := range callsOf(command) {
				want[job.Spec.Template.Spec.ServiceAccountName].add(made)
			}
		}
	}
	for account, may := range want {
		if diff := cmp.Diff(may, granted(objects, account)); diff != "" {
			t.Errorf("ServiceAccount %s: needs (-), has (+):\n%s", account, diff)
		}
	}
}

// add also adds the form in which the retired tool makes the same call: it
// reads a configuration and puts it back whole.
func (c calls) add(made call) {
	c[made] = true
	if made.Group == admissionregistrationv1.GroupName && made.Verb == "patch" {
		made.Verb = "update"
		c[made] = true
	}
}

// granted is what the roles bound to a service account allow.
func granted(objects []object, account string) calls {
	may := calls{}
	for _, binding := range all[*rbacv1.RoleBinding](objects) {
		for _, role := range all[*rbacv1.Role](objects) {
			if bound(binding.Subjects, account) && binding.RoleRef.Kind == "Role" && binding.RoleRef.Name == role.Name && binding.Namespace == role.Namespace {
				may.allow(role.Namespace, role.Rules)
			}
		}
	}
	for _, binding := range all[*rbacv1.ClusterRoleBinding](objects) {
		for _, role := range all[*rbacv1.ClusterRole](objects) {
			if bound(binding.Subjects, account) && binding.RoleRef.Name == role.Name {
				may.allow("", role.Rules)
			}
		}
	}
	return may
}

func bound(subjects []rbacv1.Subject, account string) bool {
	for _, s := range subjects {
		if s.Kind != rbacv1.ServiceAccountKind || s.Namespace == namespace && s.Name == account {
			return true // a user or a group might be anybody
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

// A token is where it is used, and nowhere else.
func TestTokensAreWhereTheyAreNeeded(t *testing.T) {
	objects := load(t)
	for _, account := range all[*corev1.ServiceAccount](objects) {
		if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
			t.Errorf("ServiceAccount %s gives its token to any Pod", account.Name)
		}
	}
	for _, o := range objects {
		template, ok := o.podTemplate()
		if !ok {
			continue
		}
		needed := len(granted(objects, template.Spec.ServiceAccountName)) > 0
		if mount := template.Spec.AutomountServiceAccountToken; mount == nil || *mount != needed {
			t.Errorf("%s: token mounted is not %t", o, needed)
		}
	}
}
