package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// access lists who may change or delete the webhook configurations, and so switch the webhook
// off. It evaluates RBAC only; a cluster can have other authorizers.
func access(s evaluation) (checks []Check) {
	if err := cmp.Or(s.Roles.Err, s.Bindings.Err); err != nil {
		return []Check{checkAccess.info("", "not listed: %s", describe(err))}
	}
	var builtin []string
	policy := s.DenyPolicy.Value.objects()
	for _, role := range s.Roles.Value {
		rights, subjects := rightsOf(role, slices.Concat(s.Configurations.Value, policy)), s.subjectsOf(role.Name)
		switch {
		case len(rights) == 0 || len(subjects) == 0:
		case strings.HasPrefix(role.Name, builtinPrefix):
			builtin = append(builtin, subjects...)
		default:
			checks = append(checks, checkAccess.info("clusterrole/"+role.Name, "%s may %s %s", strings.Join(subjects, ", "), strings.Join(rights, " and "), s.objectsOf(role)))
		}
	}
	if len(builtin) > 0 {
		checks = append(checks, checkAccess.info("clusterroles "+builtinPrefix+"*", "%s may change or delete %s", strings.Join(slices.Compact(sorted(builtin)), ", "), objects(true, len(policy) > 0)))
	}
	return checks
}

// objectsOf returns what a role allows to change or to delete.
func (s evaluation) objectsOf(role rbacv1.ClusterRole) string {
	return objects(len(rightsOf(role, s.Configurations.Value)) > 0, len(rightsOf(role, s.DenyPolicy.Value.objects())) > 0)
}

func objects(configurations, policy bool) string {
	switch {
	case configurations && policy:
		return "the webhook configurations or the policy"
	case policy:
		return "the policy"
	}
	return "the webhook configurations"
}

// builtinPrefix is the prefix of the roles that Kubernetes creates for its own controllers.
const builtinPrefix = "system:"

// subjectsOf returns the users, groups and service accounts to which a ClusterRole is bound.
func (s evaluation) subjectsOf(role string) (subjects []string) {
	for _, b := range s.Bindings.Value {
		if b.RoleRef.Kind != "ClusterRole" || b.RoleRef.Name != role {
			continue
		}
		for _, subject := range b.Subjects {
			subjects = append(subjects, describeSubject(subject))
		}
	}
	return slices.Compact(sorted(subjects))
}

func describeSubject(s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("service account %s/%s", s.Namespace, s.Name)
	}
	return strings.ToLower(s.Kind) + " " + s.Name
}

// rightsOf returns whether a role allows to change or to delete one of the configurations.
func rightsOf(role rbacv1.ClusterRole, configurations []configuration) (rights []string) {
	for _, right := range []struct {
		name  string
		verbs []string
	}{
		{"change", []string{"update", "patch"}},
		{"delete", []string{"delete", "deletecollection"}},
	} {
		allows := func(rule rbacv1.PolicyRule) bool {
			return slices.ContainsFunc(configurations, func(c configuration) bool { return allowsAny(rule, right.verbs, c) })
		}
		if slices.ContainsFunc(role.Rules, allows) {
			rights = append(rights, right.name)
		}
	}
	return rights
}

// allowsAny reports whether a rule allows one of the verbs on a configuration.
func allowsAny(rule rbacv1.PolicyRule, verbs []string, c configuration) bool {
	contains := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, rbacv1.ResourceAll)
	}
	return contains(rule.APIGroups, admissionregistrationv1.GroupName) && contains(rule.Resources, c.resource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, c.name)) &&
		slices.ContainsFunc(verbs, func(verb string) bool { return contains(rule.Verbs, verb) })
}
