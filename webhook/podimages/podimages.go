// Package podimages is the one table of the places where objects name images:
// which kinds of objects have a pod spec and where, which fields of a pod spec
// are images, and which field beside an image says when it is pulled. Whatever
// judges or changes images walks this table, so that no rule can know a place
// that another has forgotten.
//
// An Object holds only what is judged. Fields that are not here are not lost:
// an object is never encoded again, it is changed by patching the places that
// this table yields.
package podimages

import (
	"iter"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod is the kind of the objects that are run.
var Pod = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// place is where the objects of a kind keep a pod spec.
type place struct {
	path string
	of   func(*Object) *Spec // nil if the object has none
}

var (
	inSpec        = place{"spec", func(o *Object) *Spec { return &o.Spec }}
	inTemplate    = place{"spec.template.spec", func(o *Object) *Spec { return o.Spec.Template.spec() }}
	inPodTemplate = place{"template.spec", func(o *Object) *Spec { return o.Template.spec() }}
	inJobTemplate = place{"spec.jobTemplate.spec.template.spec", func(o *Object) *Spec { return o.Spec.JobTemplate.template() }}
)

// places is the table of kinds.
var places = map[metav1.GroupVersionKind]place{
	Pod: inSpec,

	{Version: "v1", Kind: "PodTemplate"}:                inPodTemplate,
	{Version: "v1", Kind: "ReplicationController"}:      inTemplate,
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  inTemplate,
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: inTemplate,
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   inTemplate,
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  inTemplate,
	{Group: "batch", Version: "v1", Kind: "Job"}:        inTemplate,
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    inJobTemplate,
}

// Has reports whether objects of the kind have a pod spec.
func Has(kind metav1.GroupVersionKind) bool {
	_, ok := places[kind]
	return ok
}

// field is a list of a pod spec whose entries name images.
type field struct {
	list       string
	holder     string // what an entry is
	leaf       string // the image below an entry
	pullPolicy string // when it is pulled, below an entry
	optional   bool   // an entry may have no image
	len        func(*Spec) int
	at         func(*Spec, int) (name, reference string, pull PullPolicy)
}

// fields is the table of image fields.
var fields = []field{
	containers("containers", func(s *Spec) []Container { return s.Containers }),
	containers("initContainers", func(s *Spec) []Container { return s.InitContainers }),
	containers("ephemeralContainers", func(s *Spec) []Container { return s.EphemeralContainers }),
	{
		list: "volumes", holder: "volume", leaf: "image.reference", pullPolicy: "image.pullPolicy", optional: true,
		len: func(s *Spec) int { return len(s.Volumes) },
		at: func(s *Spec, i int) (string, string, PullPolicy) {
			v := &s.Volumes[i]
			return v.Name, v.Image.Reference, v.Image.PullPolicy
		},
	},
}

// containers is the field of a list of containers.
func containers(list string, of func(*Spec) []Container) field {
	return field{
		list: list, holder: "container", leaf: "image", pullPolicy: "imagePullPolicy",
		len: func(s *Spec) int { return len(of(s)) },
		at: func(s *Spec, i int) (string, string, PullPolicy) {
			c := &of(s)[i]
			return c.Name, c.Image, c.ImagePullPolicy
		},
	}
}

// Image is one place of an object and the image that it names.
type Image struct {
	Holder     string     // what uses the image: "container" or "volume"
	Name       string     // the holder's name
	Reference  string     // as written, perhaps invalid
	PullPolicy PullPolicy // as written, perhaps invalid, or empty

	spec  string // the path of the pod spec
	field *field
	index int
}

// Images yields every place of an object that names an image. An empty
// reference is yielded for a container, which needs an image, and not for a
// volume, which is then of another kind. Of kinds without a pod spec, and of
// no object, there are none.
func Images(kind metav1.GroupVersionKind, o *Object) iter.Seq[Image] {
	return func(yield func(Image) bool) {
		place, ok := places[kind]
		if !ok || o == nil {
			return
		}
		spec := place.of(o)
		for i := range fields {
			if spec == nil || !fields[i].each(spec, place.path, yield) {
				return
			}
		}
	}
}

// each yields the images of one field, and reports whether to go on.
func (f *field) each(spec *Spec, path string, yield func(Image) bool) bool {
	for i := range f.len(spec) {
		name, reference, pull := f.at(spec, i)
		if reference == "" && f.optional {
			continue
		}
		if !yield(Image{Holder: f.holder, Name: name, Reference: reference, PullPolicy: pull, spec: path, field: f, index: i}) {
			return false
		}
	}
	return true
}

// New yields the images of an object that its old version does not have in the
// same list under the same name; without an old version, all of them.
func New(kind metav1.GroupVersionKind, o, old *Object) iter.Seq[Image] {
	if old == nil {
		return Images(kind, o) // most requests create: they need no map
	}
	return func(yield func(Image) bool) {
		before := map[slot]string{}
		for i := range Images(kind, old) {
			before[i.slot()] = i.Reference
		}
		for i := range Images(kind, o) {
			if reference, ok := before[i.slot()]; ok && reference == i.Reference {
				continue
			}
			if !yield(i) {
				return
			}
		}
	}
}

// slot is what an image keeps when its list grows or is put in another order.
type slot struct{ list, name string }

func (i Image) slot() slot { return slot{i.field.list, i.Name} }

// Field returns the path of the image as Kubernetes shows it to people.
func (i Image) Field() string {
	return i.spec + "." + i.field.list + "[" + strconv.Itoa(i.index) + "]." + i.field.leaf
}

// Key returns the path of the image as a key of audit annotations, which may
// have neither slashes nor brackets.
func (i Image) Key() string { return i.key(i.field.leaf) }

// PullPolicyKey is the Key of the image's pull policy.
func (i Image) PullPolicyKey() string { return i.key(i.field.pullPolicy) }

func (i Image) key(leaf string) string {
	return i.spec + "." + i.field.list + "." + strconv.Itoa(i.index) + "." + leaf
}

// Pointer returns the JSON pointer (RFC 6901) of the image.
func (i Image) Pointer() string { return i.pointer(i.field.leaf) }

// PullPolicyPointer is the Pointer of the image's pull policy, which may not be
// there. Where there is an image, there is what it stands in.
func (i Image) PullPolicyPointer() string { return i.pointer(i.field.pullPolicy) }

func (i Image) pointer(leaf string) string {
	return "/" + slashed(i.spec) + "/" + i.field.list + "/" + strconv.Itoa(i.index) + "/" + slashed(leaf)
}

// slashed returns a path with dots as a part of a JSON pointer.
func slashed(path string) string { return strings.ReplaceAll(path, ".", "/") }
