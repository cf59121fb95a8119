// Package podimages is the one table of the places where a pod names images.
// Whatever judges or rewrites images walks this table, so that no rule can
// know a place that another has forgotten.
//
// A Pod holds only what is judged. Fields that are not here are not lost: a
// pod is never encoded again, it is changed by patching the places that this
// table yields.
package podimages

import (
	"fmt"
	"iter"
)

// Pod is a core v1 Pod, reduced to what is judged.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`
}

// Metadata is what tells one pod from another.
type Metadata struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	// Annotations is a map, not a struct of the keys that are judged: users
	// choose the keys, and a struct would take them in any case of letters.
	Annotations map[string]string `json:"annotations"`
}

// configMirror is the annotation of the mirror pods of static pods: the API
// server's copies of pods that the kubelet reads from files.
const configMirror = "kubernetes.io/config.mirror"

// Spec is the part of the pod's spec that names images.
type Spec struct {
	Containers     []Container `json:"containers"`
	InitContainers []Container `json:"initContainers"`
}

// Container is a container of any of the pod's lists.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// lists is the table: the lists of a pod's spec whose entries have an image.
var lists = []struct {
	name string
	of   func(*Spec) []Container
}{
	{"containers", func(s *Spec) []Container { return s.Containers }},
	{"initContainers", func(s *Spec) []Container { return s.InitContainers }},
}

// Image is one place of a pod and the image that it names.
type Image struct {
	Container string // the container's name
	Reference string // as written, perhaps invalid or empty

	list  string
	index int
}

// Images yields every place of the pod that names an image.
func (p *Pod) Images() iter.Seq[Image] {
	return func(yield func(Image) bool) {
		for _, list := range lists {
			for i, c := range list.of(&p.Spec) {
				if !yield(Image{c.Name, c.Image, list.name, i}) {
					return
				}
			}
		}
	}
}

// Pointer returns the JSON pointer (RFC 6901) of the image.
func (i Image) Pointer() string {
	return fmt.Sprintf("/spec/%s/%d/image", i.list, i.index)
}

// Field returns the path of the image as Kubernetes writes it for persons.
func (i Image) Field() string {
	return fmt.Sprintf("spec.%s[%d].image", i.list, i.index)
}

// Key returns the path of the image as a key of audit annotations, which may
// have neither slashes nor brackets.
func (i Image) Key() string {
	return fmt.Sprintf("spec.%s.%d.image", i.list, i.index)
}

// IsStatic reports whether the pod is the mirror pod of a static pod. The
// kubelet runs what its file says, whatever becomes of the mirror pod.
func (p *Pod) IsStatic() bool {
	_, ok := p.Metadata.Annotations[configMirror]
	return ok
}

// DisplayName returns the pod's name or, before it has one, the prefix from
// which it will be generated.
func (p *Pod) DisplayName() string {
	if p.Metadata.Name != "" {
		return p.Metadata.Name
	}
	return p.Metadata.GenerateName
}
