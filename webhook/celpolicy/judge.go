package celpolicy

import (
	"regexp"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// judge adds to the variables why references are not allowed.
type judge struct {
	*variables
	rules  *admission.Rules
	tables image.Tables
	// unmirrored is whether the references are mirrored later: those of workloads. Those of pods may already
	// be mirrored.
	unmirrored bool
}

// addAllowed adds the table of the allowed registries.
func (j judge) addAllowed() {
	if len(j.tables.Allowed) > 0 {
		j.variables.add("allowed", patternTable(j.tables.Allowed))
	}
}

// suspect returns a filter for references that skips those that certainly break no rule, so that most pods need
// no further expression. It skips none if a rule depends on other names of the image.
func (j judge) suspect() string {
	if !j.rules.Policy.Denied.IsEmpty() || len(j.tables.RequireDigest) > 0 || j.unmirrored && len(j.tables.Allowed) > 0 {
		return ""
	}
	// The sizes limit the tag, too.
	conditions := []string{`r.size() <= (r.contains('@') ? 200 : 128)`, `(!r.contains('@') || r.size() - r.indexOf('@') == 72)`, `r.matches('` + plain + `')`}
	if len(j.tables.Tags) > 0 {
		const tag = `r.substring(r.lastIndexOf(':') + 1)`
		exact, patterns := j.splitTags()
		disallowed := []string{tag + ` in [` + literals(exact) + `]`}
		for _, pattern := range patterns {
			disallowed = append(disallowed, tag+`.matches('`+tagExpression(pattern)+`')`)
		}
		conditions = append(conditions, `(r.contains('@') || !(`+strings.Join(disallowed, " || ")+`))`)
	}
	if len(j.tables.Allowed) > 0 {
		conditions = append(conditions, matches("allowed", "r"))
	}
	return ".filter(r,\n  !(" + strings.Join(conditions, " &&\n    ") + "))"
}

// splitTags returns the disallowed tags and the patterns of them.
func (j judge) splitTags() (exact, patterns []string) {
	for _, t := range j.tables.Tags {
		if strings.Contains(t, image.Wildcard) {
			patterns = append(patterns, t)
			continue
		}
		exact = append(exact, t)
	}
	return exact, patterns
}

// add adds the variable reasons: for each reference a list with a reason and its remedy for each rule that it
// breaks.
func (j judge) add() {
	var rules []string
	if !j.rules.Policy.Denied.IsEmpty() {
		rules = append(rules, j.denied())
	}
	if len(j.tables.Allowed) > 0 {
		rules = append(rules, j.allowed())
	}
	if len(j.tables.Tags) > 0 || len(j.tables.RequireDigest) > 0 {
		rules = append(rules, j.pinned())
	}
	if len(rules) == 0 {
		rules = []string{"[]"}
	}
	j.variables.add("reasons", `variables.references.transformMapEntry(i, r, {r: !(r in variables.names) ?
  ['invalid reference (invalid reference format): use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST'] :
  `+strings.Join(rules, " +\n  ")+`})`)
}

// denied adds the images that are denied by name, and returns the reasons of reference r.
func (j judge) denied() string {
	const digest = `'@' + variables.suffixes[r].split('@')[1]`
	j.variables.add("deniedImages", deniedImages(j.tables.DeniedExact))
	j.variables.add("deniedNames", deniedNames(j.tables.Denied))
	// First an image with its tag or digest, then a digest in all registries, then the longest pattern.
	j.variables.add("deniedReasons", `variables.allNames.transformMap(r, names,
  names.map(n, n + (variables.suffixes[r].contains('@') ? `+digest+` : variables.suffixes[r] == '' ? ':latest' : variables.suffixes[r]))
    .filter(image, image in variables.deniedImages).map(image, variables.deniedImages[image]) +
  (variables.suffixes[r].contains('@') ? [`+digest+`] : [])
    .filter(digest, digest in variables.deniedImages).map(digest, variables.deniedImages[digest]) +
  names.map(n, `+itemsOf("deniedNames", "n")+`.filter(d, n.startsWith(d.name))).filter(found, found.size() > 0).map(found, found[0].reason))`)
	return `(variables.deniedReasons[r].size() == 0 ? [] : ['it is denied (' + variables.deniedReasons[r][0] + '): use another image'])`
}

// allowed returns the reason of reference r if its registry is not allowed. The rule is about the
// name under which the image is stored in a pod.
func (j judge) allowed() string {
	const onMirror = `variables.rules[r][0].mirror + variables.rests[r]`
	stored := "[variables.names[r]]"
	reason := literal("its registry is not allowed: use an image of " + admission.AllowedRegistries(&j.rules.Policy))
	switch {
	case len(j.tables.Mirrors) == 0:
	case j.unmirrored:
		stored = "[r in variables.mirrored ? " + onMirror + " : variables.names[r]]"
	default:
		reason = `r in variables.mirrored && [` + onMirror + `].exists(n, ` + matches("allowed", "n") + `) ?
    'its registry is not allowed, and it was not mirrored: use "' + variables.mirrored[r] + '"' :
    ` + reason
	}
	return `(` + stored + `.exists(n, ` + matches("allowed", "n") + `) ? [] : [` + reason + `])`
}

// pinned adds the rules about digests and tags, and returns the reason of reference r. A digest solves a
// disallowed tag too.
func (j judge) pinned() string {
	exempt, digest, tag := "", "", "[]"
	if len(j.tables.Exempt) > 0 {
		j.variables.add("exempt", patternTable(j.tables.Exempt))
		exempt = ` || variables.allNames[r].exists(n, ` + matches("exempt", "n") + `)`
	}
	if len(j.tables.RequireDigest) > 0 {
		required := `variables.allNames[r].exists(n, ` + matches("digestRequired", "n") + `)`
		j.variables.add("digestRequired", patternTable(j.tables.RequireDigest))
		if j.tables.RequireDigest[0] == image.Wildcard {
			required = "true"
		}
		digest = required + ` ?
    ['a digest is required: use ' + ` + j.likelyName() + ` + '@sha256:...'] :
    `
	}
	if len(j.tables.Tags) > 0 {
		tag = j.tag()
	}
	return `(variables.suffixes[r].contains('@')` + exempt + ` ? [] :
    ` + digest + tag + `)`
}

// tag adds the disallowed tags, and returns the reason of reference r, which has no digest.
func (j judge) tag() string {
	tags, patterns := j.splitTags()
	found := []string{`(variables.tags[r] in [` + literals(tags) + `] ? [''] : [])`}
	for _, pattern := range patterns {
		found = append(found, `(variables.tags[r].matches('`+tagExpression(pattern)+`') ? [' (pattern `+pattern+`)'] : [])`)
	}
	j.variables.add("tags", `variables.names.transformMap(r, name, variables.suffixes[r] == '' ? 'latest' : variables.suffixes[r].substring(1))`)
	j.variables.add("disallowedTags", `variables.names.transformMap(r, name, `+strings.Join(found, " +\n  ")+`)`)
	return `variables.disallowedTags[r].size() == 0 ? [] :
    [(variables.suffixes[r] == '' ? 'no tag means tag "latest", which' : 'tag "' + variables.tags[r] + '"' + variables.disallowedTags[r][0]) +
    ' is not allowed because its image can change: use a fixed tag such as ' + ` + j.untagged() + ` + ':1.2.3 or a digest (' + ` + j.untagged() + ` + '@sha256:...)']`
}

// tagExpression returns the regular expression of a tag with asterisks.
func tagExpression(tag string) string {
	return "^" + strings.NewReplacer(`\*`, ".*", `\.`, "[.]").Replace(regexp.QuoteMeta(tag)) + "$"
}

// likelyName is the reference that the user most likely wrote for reference r.
func (j judge) likelyName() string {
	if j.unmirrored || len(j.tables.Origins) == 0 {
		return `r`
	}
	return `(variables.written[r].size() == 1 ? variables.written[r][0] : r)`
}

// untagged is likelyName without the tag. There is no digest.
func (j judge) untagged() string {
	name := j.likelyName()
	return name + `.substring(0, ` + name + `.size() - variables.suffixes[r].size())`
}

// shownName is how a message names image i.
func (j judge) shownName() string {
	stored := quoted("i.image")
	if j.unmirrored || len(j.tables.Origins) == 0 {
		return stored
	}
	return `(i.image in variables.written && variables.written[i.image].size() > 0 ?
    variables.written[i.image].map(w, ` + quoted("w") + `).join(' or ') + ' (mirrored to ' + ` + stored + ` + ')' :
    ` + stored + `)`
}
