package celpolicy

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// patches returns the JSON patches of a pod in CEL, and adds their variables. It returns none if the rules
// do not change pods.
func (j judge) patches() (expressions []string) {
	if len(j.tables.Mirrors) > 0 {
		expressions = append(expressions, `variables.images.filter(i, i.image in variables.mirrored).map(i, JSONPatch{
  op: 'replace',
  path: '/spec/' + i.list + '/' + i.index + (i.list == 'volumes' ? '/image/reference' : '/image'),
  value: variables.mirrored[i.image]
})`)
	}
	if j.rules.Changes.AlwaysPull {
		// The parent of the policy of an entry without an image may be missing.
		expressions = append(expressions, `variables.images.filter(i, `+creates+` && i.image != '' && i.pull != 'Always').map(i, JSONPatch{
  op: 'add',
  path: '/spec/' + i.list + '/' + i.index + (i.list == 'volumes' ? '/image/pullPolicy' : '/imagePullPolicy'),
  value: 'Always'
})`)
	}
	if secrets := j.rules.Changes.PullSecrets; len(secrets) > 0 {
		j.variables.add("secrets", `optional.ofNonZeroValue(variables.spec.?imagePullSecrets.orValue([])).orValue([])`)
		j.variables.add("addedSecrets", `!(`+creates+`) || !variables.images.exists(i, i.image in variables.mirrored) ? [] :
[`+literals(secrets)+`].filter(name, !variables.secrets.exists(s, s.?name.orValue('') == name))`)
		expressions = append(expressions, `variables.addedSecrets.transformList(n, name, n == 0 && variables.secrets.size() == 0 ?
  JSONPatch{op: 'add', path: '/spec/imagePullSecrets', value: [{'name': name}]} :
  JSONPatch{op: 'add', path: '/spec/imagePullSecrets/-', value: {'name': name}})`)
	}
	return expressions
}

// changeable returns the condition that a pod has something to change: an image that is not on a mirror, or a pull
// policy. It is false after the change. Otherwise, the API server would evaluate and apply the policy twice.
func (j judge) changeable() admissionregistrationv1.MatchCondition {
	image, volume := "false", "false"
	if len(j.tables.Mirrors) > 0 {
		onMirror := `![` + literals(j.targets()) + `].exists(m, `
		image = onMirror + `c.?image.orValue('').startsWith(m))`
		volume = onMirror + `c.?image.?reference.orValue('').startsWith(m))`
	}
	if j.rules.Changes.AlwaysPull {
		image += ` || request.operation == 'CREATE' && c.?imagePullPolicy.orValue('') != 'Always'`
		volume += ` || request.operation == 'CREATE' && c.?image.?pullPolicy.orValue('') != 'Always'`
	}
	return admissionregistrationv1.MatchCondition{Name: "something-to-change", Expression: `['containers', 'initContainers', 'ephemeralContainers'].exists(list,
  optional.ofNonZeroValue(object.?spec[?list].orValue([])).orValue([]).exists(c, ` + image + `)) ||
optional.ofNonZeroValue(object.?spec.?volumes.orValue([])).orValue([]).exists(c, c.?image.hasValue() && (` + volume + `))`}
}

// targets returns the beginnings of references on mirrors. No mirror rule matches them.
func (j judge) targets() (targets []string) {
	for _, row := range j.tables.Mirrors {
		if target := prefix(row.Target); target != "" && !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets
}

// creates is whether the request creates a pod. Most fields of an existing pod are immutable.
const creates = `request.operation == 'CREATE' && request.?subResource.orValue('') == ''`

func joined(expressions []string) string { return strings.Join(expressions, " +\n") }
