package admissioncost

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// imageLists are the lists of a pod spec whose entries have an image, in CEL: an image is empty if
// the entry has none.
var imageLists = []struct{ name, image, path string }{
	{"containers", "e.?image.orValue('')", "image"},
	{"initContainers", "e.?image.orValue('')", "image"},
	{"ephemeralContainers", "e.?image.orValue('')", "image"},
	{"volumes", "e.?image.?reference.orValue('')", "image/reference"},
}

// floatingImages returns a CEL expression for the images whose tag is latest, or that have neither
// a tag nor a digest.
func floatingImages() string {
	// A colon before the last slash precedes a port.
	const floating = `image != '' && !image.contains('@') &&
  (image.endsWith(':latest') || !image.substring(image.lastIndexOf('/') + 1).contains(':'))`
	var lists []string
	for _, list := range imageLists {
		lists = append(lists, fmt.Sprintf("object.spec.?%s.orValue([]).map(e, %s).filter(image, %s)", list.name, list.image, floating))
	}
	return strings.Join(lists, " +\n")
}

// hasMirror is a CEL expression: whether an image is on docker.io or registry.k8s.io. The first
// component of a reference is a registry only if it has a dot, a colon or an upper-case letter, or
// is localhost.
const hasMirror = `image.matches('^(registry[.]k8s[.]io/|(index[.])?docker[.]io/|[a-z0-9_-]+/|[^/]+$)') && !image.startsWith('localhost/')`

// mirroredCondition returns the condition that an image has a mirror. After the rewrite it is false.
// Without it, the API server would apply a policy with the reinvocation policy IfNeeded twice.
func mirroredCondition() admissionv1.MatchCondition {
	var lists []string
	for _, list := range imageLists {
		lists = append(lists, fmt.Sprintf("object.spec.?%s.orValue([]).map(e, %s).exists(image, %s)", list.name, list.image, hasMirror))
	}
	return admissionv1.MatchCondition{Name: "image-has-mirror", Expression: strings.Join(lists, " ||\n")}
}

// mirrorPatch returns a CEL expression for a JSON patch that rewrites images to their mirrors.
func mirrorPatch() string {
	// On docker.io, an image with one component is below library/.
	const mirrored = `image.startsWith('registry.k8s.io/') ? 'k8s.mirror.example/' + image.substring(16) :
    !image.contains('/') ? 'docker.mirror.example/library/' + image :
    image.startsWith('docker.io/') ? 'docker.mirror.example/' + (image.lastIndexOf('/') == 9 ? 'library/' : '') + image.substring(10) :
    image.startsWith('index.docker.io/') ? 'docker.mirror.example/' + (image.lastIndexOf('/') == 15 ? 'library/' : '') + image.substring(16) :
    'docker.mirror.example/' + image`
	var lists []string
	for _, list := range imageLists {
		operation := fmt.Sprintf("JSONPatch{op: 'replace', path: '/spec/%s/' + string(i) + '/%s', value: %s}", list.name, list.path, mirrored)
		lists = append(lists, fmt.Sprintf("object.spec.?%s.orValue([]).map(e, %s).transformList(i, image, %s, %s)", list.name, list.image, hasMirror, operation))
	}
	return strings.Join(lists, " +\n")
}
