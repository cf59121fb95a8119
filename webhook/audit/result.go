package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/report"
	"github.com/image-webhook/image-webhook/webhook/status"
)

// result returns what was found.
func (c *collector) result() *Result {
	r := &Result{
		Policy: c.Policy, Assumed: c.Assumed, Namespaces: []Namespace{}, Findings: c.findings(),
		MirrorRules: []MirrorRule{}, Mirrored: []Mirrored{}, Missing: []Pair{}, Problems: []Problem{},
	}
	owners := r.countOwners()
	for _, name := range slices.Sorted(maps.Keys(c.namespaces)) {
		n := *c.namespaces[name]
		n.Owners = owners[name]
		r.addNamespace(n)
	}
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		r.MirrorRules = append(r.MirrorRules, *c.rules[name])
	}
	for _, m := range c.mirrored {
		r.Mirrored = append(r.Mirrored, *m)
	}
	slices.SortFunc(r.Mirrored, func(a, b Mirrored) int {
		return cmp.Or(strings.Compare(a.Image, b.Image), strings.Compare(a.To, b.To))
	})
	for _, namespace := range slices.Sorted(maps.Keys(c.gaps)) {
		r.Problems = append(r.Problems, Problem{namespace, c.gaps[namespace].message()})
	}
	return r
}

// countOwners returns the number of owners of findings, by namespace.
func (r *Result) countOwners() map[string]int {
	counts, seen := map[string]int{}, map[[2]string]bool{}
	for _, f := range r.Findings {
		if owner := [2]string{f.Namespace, f.Owner}; !seen[owner] {
			seen[owner] = true
			counts[f.Namespace]++
		}
	}
	return counts
}

// addNamespace adds a namespace to the list and to the summary.
func (r *Result) addNamespace(n Namespace) {
	r.Namespaces = append(r.Namespaces, n)
	if n.Mode == status.ModeExcluded {
		return
	}
	r.Summary.Namespaces++
	r.Summary.Pods += n.Pods
	r.Summary.Refused += n.Refused
	r.Summary.Owners += n.Owners
}

// findings joins the rows of an owner: those of its template, of its pods and of its steps.
func (c *collector) findings() []Finding {
	joined := map[use]*row{}
	for u, r := range c.rows {
		if controller := c.steps[u.owner]; controller != nil && controller.name != "" {
			u.owner = *controller
		}
		if other := joined[u]; other != nil {
			r = other.join(r)
		}
		joined[u] = r
	}
	findings := make([]Finding, 0, len(joined))
	for u, r := range joined {
		f := Finding{
			Namespace: u.owner.namespace, Mode: c.namespaces[u.owner.namespace].Mode, Owner: u.owner.String(),
			Pods: r.pods, Holder: u.holder, Name: u.name, Image: r.image,
		}
		for _, v := range r.violations {
			f.Violations = append(f.Violations, report.Violation{Rule: v.Rule.String(), Reason: v.Reason, Remedy: v.Remedy})
		}
		findings = append(findings, f)
	}
	slices.SortFunc(findings, compareFindings)
	return findings
}

// join returns the sum of two rows.
func (r *row) join(other *row) *row {
	sum := *r
	if other.template {
		sum = *other
	}
	sum.pods = r.pods + other.pods
	return &sum
}

func compareFindings(a, b Finding) int {
	return cmp.Or(
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Owner, b.Owner), strings.Compare(a.Holder, b.Holder),
		strings.Compare(a.Name, b.Name), strings.Compare(a.Image, b.Image),
	)
}
