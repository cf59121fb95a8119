package status

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// registration compares the configurations with the manifests. failurePolicy and caBundle have
// their own checks, because certgen sets them.
func registration(s evaluation) []Check {
	if s.Configurations.Err != nil {
		return []Check{checkRegistration.unread("webhook configurations", s.Configurations.Err)}
	}
	if s.DenyPolicy.Err != nil {
		return []Check{checkRegistration.unread("validating admission policies", s.DenyPolicy.Err)}
	}
	checks := slices.Concat(s.differences, s.leftovers())
	owner := comparison{"deploy/" + ownerDirectory + registerManifest, apply(ownerDirectory + registerManifest), rerun(ownerDirectory + patchManifest)}
	checks = append(checks, owner.compareAll(s.Configurations.Value, s.installedOwner())...)
	if len(checks) > 0 {
		return checks
	}
	return []Check{checkRegistration.ok("", "the webhooks are registered as in deploy/%s%s", s.installed.manifest(registerManifest), s.installed)}
}

// installedVariant returns the variant with the fewest differences from the cluster, and the differences.
func (s evaluation) installedVariant() (installed variant, differences []Check) {
	for i, v := range variants(s.Namespace) {
		found := append(v.comparison().compareAll(s.Configurations.Value, v.configurations), s.comparePolicy(s.DenyPolicy.Value, v.policy)...)
		if i == 0 || len(found) < len(differences) {
			installed, differences = v, found
		}
	}
	return installed, differences
}

// installedOwner returns the manifest's configurations for the owners of namespaces that exist,
// because they are optional.
func (s evaluation) installedOwner() (installed []configuration) {
	for _, want := range s.want.owner {
		if _, ok := find(s.Configurations.Value, want.object()); ok {
			installed = append(installed, want)
		}
	}
	return installed
}

// comparison is the comparison of configurations with a manifest, and the commands that apply the
// manifest and then set what it does not contain.
type comparison struct{ manifest, apply, patch string }

func (c comparison) compareAll(found, want []configuration) (checks []Check) {
	for _, w := range want {
		if f, ok := find(found, w.object()); ok {
			checks = append(checks, c.compare(f, w)...)
		} else {
			checks = append(checks, c.problem(w, false, "does not exist: the API server does not call %s", hookNames(w.hookNames())))
		}
	}
	return checks
}

func (c comparison) compare(found, want configuration) (checks []Check) {
	for _, w := range want.hooks {
		if f, ok := found.findHook(w.Name); !ok {
			checks = append(checks, c.problem(want, false, "webhook %s is missing", w.Name))
		} else if differences, surplus := compareHook(f, w); len(differences) > 0 {
			checks = append(checks, c.problem(want, surplus, "webhook %s differs from %s in %s", w.Name, c.manifest, strings.Join(differences, ", ")))
		}
	}
	for _, f := range found.hooks {
		if _, ok := want.findHook(f.Name); !ok {
			checks = append(checks, c.problem(want, true, "webhook %s is not in %s", f.Name, c.manifest))
		}
	}
	return checks
}

// problem returns a check. surplus reports whether the configuration has a value that `kubectl
// apply` would keep.
func (c comparison) problem(of configuration, surplus bool, format string, args ...any) Check {
	fix := c.apply
	if surplus {
		fix = strings.Replace(fix, "apply", "replace", 1)
	}
	return checkRegistration.problem(of.object(), fix+" && "+c.patch, format, args...)
}

func (c configuration) hookNames() (names []string) {
	for _, h := range c.hooks {
		names = append(names, h.Name)
	}
	return names
}

// fields are the compared fields of a webhook.
var fields = []struct {
	name  string
	value func(hook) any
}{
	{"clientConfig.url", func(h hook) any { return h.ClientConfig.URL }},
	{"clientConfig.service.namespace", func(h hook) any { return serviceOf(h).Namespace }},
	{"clientConfig.service.name", func(h hook) any { return serviceOf(h).Name }},
	{"clientConfig.service.path", func(h hook) any { return serviceOf(h).Path }},
	{"clientConfig.service.port", func(h hook) any { return serviceOf(h).Port }},
	{"rules", func(h hook) any { return h.Rules }},
	{"namespaceSelector", func(h hook) any { return h.NamespaceSelector }},
	{"objectSelector", func(h hook) any { return h.ObjectSelector }},
	{"matchConditions", func(h hook) any { return h.MatchConditions }},
	{"matchPolicy", func(h hook) any { return h.MatchPolicy }},
	{"reinvocationPolicy", func(h hook) any { return h.ReinvocationPolicy }},
	{"sideEffects", func(h hook) any { return h.SideEffects }},
	{"timeoutSeconds", func(h hook) any { return h.TimeoutSeconds }},
	{"admissionReviewVersions", func(h hook) any { return h.AdmissionReviewVersions }},
}

func serviceOf(h hook) admissionregistrationv1.ServiceReference {
	if h.ClientConfig.Service == nil {
		return admissionregistrationv1.ServiceReference{}
	}
	return *h.ClientConfig.Service
}

// compareHook returns which fields differ, and whether one of them has a value that `kubectl
// apply` would keep.
func compareHook(found, want hook) (differences []string, surplus bool) {
	for _, field := range fields {
		f, w := field.value(found), field.value(want)
		if !reflect.DeepEqual(f, w) {
			differences = append(differences, describeField(field.name, f, w))
			surplus = surplus || slices.Contains([]string{"clientConfig.url", "objectSelector", "matchConditions"}, field.name)
		}
	}
	return differences, surplus
}

// describeField shows values that fit on a line.
func describeField(name string, found, want any) string {
	const short = 40
	f, _ := json.Marshal(found) // these types have no error
	w, _ := json.Marshal(want)
	if len(f) > short || len(w) > short {
		return name
	}
	return fmt.Sprintf("%s (%s instead of %s)", name, f, w)
}
