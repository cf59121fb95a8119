package podimages

import (
	"bytes"
	"encoding/json"
)

// Object is an object of any kind of the table, reduced to what is judged. One
// type for all kinds, so that a body is decoded in one pass, whatever the order
// of its keys: no two kinds have something different at the same path.
type Object struct {
	Metadata Metadata  `json:"metadata"`
	Spec     Spec      `json:"spec"`
	Template *Template `json:"template"` // of a PodTemplate
}

// Metadata is what tells one object from another.
type Metadata struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	Labels       Pairs  `json:"labels"`
	Annotations  Pairs  `json:"annotations"`
}

// Pairs are labels or annotations, as JSON: a pod can have many, and they are
// rarely looked at.
type Pairs = json.RawMessage

// lookUp returns the value of a key, which must stand in the JSON as it is. They
// are decoded into a map, not into a struct with the key as a field: that would
// take the key in any case of letters.
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

// Spec is the part of a pod's spec that names images, or the spec of what makes
// pods from a template.
type Spec struct {
	Containers          []Container `json:"containers"`
	InitContainers      []Container `json:"initContainers"`
	EphemeralContainers []Container `json:"ephemeralContainers"`
	Volumes             []Volume    `json:"volumes"`

	Template    *Template `json:"template"`    // of pods
	JobTemplate *Template `json:"jobTemplate"` // of a CronJob: its spec has the template
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

// template returns the spec of the template within a template, or nil.
func (t *Template) template() *Spec {
	if t == nil {
		return nil
	}
	return t.Spec.Template.spec()
}

// Container is a container of any of the pod's lists.
type Container struct {
	Name            string     `json:"name"`
	Image           string     `json:"image"`
	ImagePullPolicy PullPolicy `json:"imagePullPolicy"`
}

// Volume is a volume. Only one that is an image has a reference.
type Volume struct {
	Name  string `json:"name"`
	Image struct {
		Reference  string     `json:"reference"`
		PullPolicy PullPolicy `json:"pullPolicy"`
	} `json:"image"`
}

// configMirror is the annotation of the mirror pods of static pods: the API
// server's copies of pods that the kubelet reads from files.
const configMirror = "kubernetes.io/config.mirror"

// IsStatic reports whether the object is the mirror pod of a static pod. The
// kubelet runs what its file says, whatever becomes of the mirror pod. Nobody
// can run another pod under this annotation: it cannot be removed later, and
// the kubelet deletes what has it without a file.
func (o *Object) IsStatic() bool {
	_, ok := lookUp(o.Metadata.Annotations, configMirror)
	return ok
}

// DisplayName returns the object's name or, before it has one, the prefix from
// which it will be generated.
func (o *Object) DisplayName() string {
	if o.Metadata.Name != "" {
		return o.Metadata.Name
	}
	return o.Metadata.GenerateName
}
