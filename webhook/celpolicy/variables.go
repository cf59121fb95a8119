package celpolicy

import (
	"regexp"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// variables are the variables of a policy, in order: an expression uses only variables before its own.
type variables []admissionregistrationv1.Variable

func (v *variables) add(name, expression string) {
	*v = append(*v, admissionregistrationv1.Variable{Name: name, Expression: expression})
}

// usedVariable matches a variable in an expression.
var usedVariable = regexp.MustCompile(`variables\.([a-zA-Z]+)`)

// usedBy returns the variables that the expressions need.
func (v variables) usedBy(expressions ...string) (used variables) {
	needed := map[string]bool{}
	use := func(expression string) {
		for _, match := range usedVariable.FindAllStringSubmatch(expression, -1) {
			needed[match[1]] = true
		}
	}
	for _, expression := range expressions {
		use(expression)
	}
	for i := len(v) - 1; i >= 0; i-- {
		if needed[v[i].Name] {
			use(v[i].Expression)
			used = append(variables{v[i]}, used...)
		}
	}
	return used
}

// subject says where the pod spec of an object is, in CEL.
type subject struct {
	object, oldObject string // the pod spec: a map, which is empty without one
	path              string // its path as a text
}

// The subjects of the policies.
var (
	podSubject = subject{
		object:    "object.?spec.orValue({})",
		oldObject: "oldObject.?spec.orValue({})",
		path:      "'spec'",
	}
	workloadSubject = subject{
		object:    podSpecOf("object"),
		oldObject: podSpecOf("oldObject"),
		path: `request.kind.kind == 'CronJob' ? 'spec.jobTemplate.spec.template.spec' :
request.kind.kind == 'PodTemplate' ? 'template.spec' : 'spec.template.spec'`,
	}
)

func podSpecOf(object string) string {
	return `request.kind.kind == 'CronJob' ? ` + object + `.?spec.?jobTemplate.?spec.?template.?spec.orValue({}) :
request.kind.kind == 'PodTemplate' ? ` + object + `.?template.?spec.orValue({}) :
` + object + `.?spec.?template.?spec.orValue({})`
}

// addImages adds the new images of an object. An image that the old object has in the same list under the
// same name is not new.
func (v *variables) addImages(s subject) {
	v.add("spec", s.object)
	v.add("oldSpec", s.oldObject)
	v.add("oldImages", imagesOf("variables.oldSpec",
		`[list, string(c.?name.orValue('')), string(c.?image.orValue(''))]`,
		`['volumes', string(c.?name.orValue('')), string(c.image.reference)]`))
	v.add("images", `(`+imagesOf("variables.spec",
		`{'list': list, 'index': string(i), 'name': string(c.?name.orValue('')), 'image': string(c.?image.orValue('')), 'pull': string(c.?imagePullPolicy.orValue(''))}`,
		`{'list': 'volumes', 'index': string(i), 'name': string(c.?name.orValue('')), 'image': string(c.image.reference), 'pull': string(c.image.?pullPolicy.orValue(''))}`)+
		`).filter(i, request.operation == 'CREATE' || !([i.list, i.name, i.image] in variables.oldImages))`)
}

// imagesOf returns the images of a pod spec. container and volume say what is returned for entry i of a list.
// A list that is null has no entries. A container without an image has an empty one, which is invalid.
func imagesOf(spec, container, volume string) string {
	return `['containers', 'initContainers', 'ephemeralContainers'].map(list,
  optional.ofNonZeroValue(` + spec + `[?list].orValue([])).orValue([]).transformList(i, c,
    ` + container + `)).flatten() +
optional.ofNonZeroValue(` + spec + `.?volumes.orValue([])).orValue([]).transformList(i, c, c.?image.?reference.orValue('') != '',
  ` + volume + `)`
}

// The grammar of github.com/distribution/reference v0.6.0, for references as users write them, but without the
// lengths of tags and digests: Go matches regular expressions with counted repetitions much slower.
const (
	label     = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	hostName  = label + `(?:[.]` + label + `)*`
	host      = `(?:` + hostName + `|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	component = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	path      = component + `(?:/` + component + `)*`
	tag       = `[0-9A-Za-z_][0-9A-Za-z_.-]*`
	grammar   = `^(?:` + host + `/)?` + path + `(?::` + tag + `)?(?:@sha(?:256|384|512):[a-f0-9]+)?$`
	// plain is the grammar of most references: a tag or a SHA-256 digest, and a registry without brackets.
	plain = `^(?:` + hostName + `(?::[0-9]+)?/)?` + path + `(?::` + tag + `(?:@sha256:[a-f0-9]+)?|@sha256:[a-f0-9]+)$`

	// refused matches what the parser refuses although it has the grammar: the ID of an image, and a
	// registry in brackets that looks like a path.
	refused = `^(?:[a-f0-9]{64}$|\[[a-f0-9]+\]/)`
	// firstIsHost matches a reference whose first component is a registry.
	firstIsHost = `^(?:localhost|[^/@]*[.:A-Z][^/@]*)/`
	// imageID matches the ID of an image on a node, which is never mirrored.
	imageID = `^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$`
	// noPath matches a name, which ends with a slash, that no reference can have: it has no path, or on
	// docker.io only one component.
	noPath = `^(?:docker[.]io/)?[^/]*/$`
)

// addReferences adds the references that the other variables are about: the images of an object, also old ones,
// each once. filter skips those that do not matter, in CEL.
func (v *variables) addReferences(filter string) {
	v.add("references", `(`+imagesOf("variables.spec", `string(c.?image.orValue(''))`, `string(c.image.reference)`)+`)`+filter+`.distinct()`)
}

// onHub is whether reference r, with a path, is on docker.io with one component: then it is below library/.
const onHub = `variables.hosts[r] in ['', 'docker.io', 'index.docker.io'] && !path.contains('/')`

// addNames adds the parts of the valid references, each as a map from the reference to the part: the host is
// as written and may be empty, the registry is canonical, the name is REGISTRY/PATH/, the suffix is
// :TAG@DIGEST as written.
func (v *variables) addNames() {
	v.add("hosts", `variables.references
  .filter(r, r.size() <= 1024 && r.matches(r'`+grammar+`') && !r.matches(r'`+refused+`'))
  .transformMapEntry(i, r, {r: r.matches('`+firstIsHost+`') ? r.split('/')[0] : ''})`)
	v.add("paths", `variables.hosts.transformMap(r, host,
  (host == '' ? r : r.substring(host.size() + 1)).split('@')[0].split(':')[0])`)
	v.add("suffixes", `variables.hosts.transformMap(r, host,
  r.substring((host == '' ? 0 : host.size() + 1) + variables.paths[r].size()))`)
	// Upper case, zeros before a port, port 443 and index.docker.io are other spellings of a registry.
	v.add("registries", `variables.hosts.transformMap(r, host,
  host == '' ? 'docker.io' :
  !host.matches(':[0-9]+$') ? host.lowerAscii() :
  host.find('[1-9][0-9]*$') in ['', '443'] ? host.lowerAscii().substring(0, host.lastIndexOf(':')) :
  host.lowerAscii().substring(0, host.lastIndexOf(':')) + ':' + host.find('[1-9][0-9]*$')
).transformMap(r, registry, registry == 'index.docker.io' ? 'docker.io' : registry)`)
	// A path has at most 255 characters, and a tag 128. A host with an underscore is part of the path.
	v.add("names", `variables.paths.transformMap(r, path,
  (variables.hosts[r].contains('_') ? variables.hosts[r].size() + 1 : 0) + (`+onHub+` ? 8 : 0) + path.size() <= 255 &&
    variables.suffixes[r].split('@')[0].size() <= 129 && (!r.contains('@') || r.size() - r.indexOf('@') ==
      (r.contains('@sha256:') ? 72 : r.contains('@sha384:') ? 104 : 136)),
  variables.registries[r] + (`+onHub+` ? '/library/' : '/') + path + '/')`)
}

// itemsOf returns the items of a table for the registry of a name, in CEL.
func itemsOf(table, name string) string {
	return `variables.` + table + `[?` + name + `.split('/')[0]].orValue([])`
}

// matches returns whether a prefix of a table matches a name, in CEL.
func matches(table, name string) string {
	return itemsOf(table, name) + `.exists(p, ` + name + `.startsWith(p))`
}

// addMirrors adds where the references are mirrored to. rules are all mirror rules that match, the one that
// applies first. rests are the ends of the names after the source of that rule, of references that it sends to
// a mirror. mirrored are the references that are stored instead.
func (v *variables) addMirrors(t image.Tables) {
	rows, wildcard, start := t.Mirrors, "", `variables.rules[r][0].source.size()`
	if last := rows[len(rows)-1]; last.Source == image.Wildcard {
		wildcard = ` +
  (variables.registries[r] in [` + literals(mirrorRegistries(rows)) + `] ? [] : [` + mirrorRecord(last) + `])`
		start = `(variables.rules[r][0].source == '' ? variables.registries[r].size() + 1 : ` + start + `)`
		rows = rows[:len(rows)-1]
	}
	v.add("mirrors", mirrorTable(rows))
	v.add("rules", `variables.names.transformMap(r, name,
  variables.mirrors[?variables.registries[r]].orValue([]).filter(m, name.startsWith(m.source))`+wildcard+`)`)
	v.add("rests", `variables.names.transformMap(r, name,
  variables.rules[r].size() > 0 && variables.rules[r][0].target != '',
  name.substring(`+start+`))`)
	v.add("mirrored", `variables.rests
  .transformMap(r, rest, !(r.startsWith('sha') && r.matches('`+imageID+`')), variables.rules[r][0].target + rest)
  .transformMap(r, name,
    !name.matches('`+noPath+`') && name.size() - name.indexOf('/') <= 257 && name.size() + variables.suffixes[r].size() <= 1025,
    name.substring(0, name.size() - 1) + variables.suffixes[r])`)
}

// addOrigins adds the names that are mirrored to the references, the most specific first, and the references
// that users wrote for them.
func (v *variables) addOrigins(t image.Tables) {
	v.add("originRules", originTable(t.Origins))
	v.add("origins", `variables.names.transformMap(r, name, variables.originRules[?variables.registries[r]].orValue([])
  .filter(o, name.startsWith(o.mirror))
  .map(o, {'name': o.source + name.substring(o.mirror.size()), 'source': o.source, 'rest': name.substring(o.mirror.size()),
    'target': o.target, 'origin': o.origin})
  .filter(o, !o.name.matches('`+noPath+`') && o.name.size() - o.name.indexOf('/') <= 257 &&
    `+itemsOf("mirrors", "o.name")+`.filter(m, o.name.startsWith(m.source))[0].source == o.source))`)
	// The mirrored reference must be this one, not another spelling. Users write no docker.io/library/,
	// unless the rest would mean another image.
	v.add("written", `variables.origins.transformMap(r, origins, origins
  .filter(o, (o.target + o.rest).substring(0, (o.target + o.rest).size() - 1) + variables.suffixes[r] == r)
  .map(o, (o.origin + o.rest).substring(0, (o.origin + o.rest).size() - 1))
  .map(full, {'full': full,
    'short': full.startsWith('docker.io/library/') ? full.substring(18) : full.startsWith('docker.io/') ? full.substring(10) : full})
  .map(n, (n.short.contains('/') && (n.full.startsWith('docker.io/library/') || n.short.matches('^(?:localhost|[^/]*[.:][^/]*)/')) ||
    variables.suffixes[r] == '' && n.short.matches('^[a-f0-9]{64}$') ? n.full : n.short) + variables.suffixes[r]))`)
}

// addAllNames adds all names of the images of the references: the written one, the one on the mirror, and
// the origins.
func (v *variables) addAllNames(t image.Tables) {
	if len(t.Mirrors) == 0 {
		v.add("allNames", `variables.names.transformMap(r, name, [name])`)
		return
	}
	v.add("allNames", `variables.names.transformMap(r, name, [name] +
  (r in variables.rests ? [variables.rules[r][0].mirror + variables.rests[r]] : []) +
  variables.origins[r].map(o, o.name))`)
}
