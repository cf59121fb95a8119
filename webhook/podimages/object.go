package podimages

import (
	"bytes"
	"encoding/json"
)

// Object contains the fields of an object that the rules read. All kinds in the table
// share this type, so that a body is decoded in one pass in any order of its keys.
// This works because no two kinds have different fields at the same path.
type Object struct {
	Metadata Metadata  `json:"metadata"`
	Spec     Spec      `json:"spec"`
	Template *Template `json:"template"` // only in a PodTemplate
}

// Metadata contains the name, the labels and the annotations of an object.
type Metadata struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	Labels       Pairs  `json:"labels"`
	Annotations  Pairs  `json:"annotations"`
}

// Pairs are labels or annotations in JSON. They stay encoded because a pod can
// have many of them and they are rarely read.
type Pairs = json.RawMessage

// lookUp returns the value of a key. It does not find a key that is escaped in the
// JSON. It decodes into a map, because a struct field matches a key in any case.
func lookUp(pairs Pairs, key string) (value string, ok bool) {
	if !bytes.Contains(pairs, []byte(key)) {
		return "", false
	}
	var decoded map[string]string
	if json.Unmarshal(pairs, &decoded) != nil {
		return "", false
	}
	value, ok = decoded[key]
	return value, ok
}

// Label returns the value of a label.
func (o *Object) Label(key string) (value string, ok bool) {
	return lookUp(o.Metadata.Labels, key)
}

// Spec contains the fields of a pod spec that name images, and the templates in the
// spec of a workload.
type Spec struct {
	Containers          []Container `json:"containers"`
	InitContainers      []Container `json:"initContainers"`
	EphemeralContainers []Container `json:"ephemeralContainers"`
	Volumes             []Volume    `json:"volumes"`

	Template    *Template `json:"template"`    // of pods
	JobTemplate *Template `json:"jobTemplate"` // of Jobs, in a CronJob
}

// Template is a template of pods or of Jobs.
type Template struct {
	Spec Spec `json:"spec"`
}

// spec returns the template's spec, or nil without a template.
func (t *Template) spec() *Spec {
	if t == nil {
		return nil
	}
	return &t.Spec
}

// innerSpec returns the spec of the template inside the template, or nil.
func (t *Template) innerSpec() *Spec {
	if t == nil {
		return nil
	}
	return t.Spec.Template.spec()
}

// Container is an entry of a list of containers in a pod spec.
type Container struct {
	Name            string     `json:"name"`
	Image           string     `json:"image"`
	ImagePullPolicy PullPolicy `json:"imagePullPolicy"`
}

// Volume is a volume of a pod. Only image volumes have a reference.
type Volume struct {
	Name  string `json:"name"`
	Image struct {
		Reference  string     `json:"reference"`
		PullPolicy PullPolicy `json:"pullPolicy"`
	} `json:"image"`
}

// configMirror is the annotation of mirror pods. They represent static pods, which
// the kubelet reads from files, in the API server.
const configMirror = "kubernetes.io/config.mirror"

// IsStatic reports whether the object is the mirror pod of a static pod. The
// kubelet runs the static pod from its file, regardless of the mirror pod. Users
// cannot bypass the rules with this annotation: it cannot be removed later, and the
// kubelet deletes a mirror pod that has no file.
func (o *Object) IsStatic() bool {
	_, ok := lookUp(o.Metadata.Annotations, configMirror)
	return ok
}

// DisplayName returns the object's name or, if the API server has not generated it
// yet, its prefix.
func (o *Object) DisplayName() string {
	if o.Metadata.Name != "" {
		return o.Metadata.Name
	}
	return o.Metadata.GenerateName
}
