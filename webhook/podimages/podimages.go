// Package podimages is the only table of the fields that name images: which kinds
// have a pod spec and at which path, which fields of a pod spec are images, and
// which field contains the pull policy of an image. All rules use this table, so that
// no rule can miss a field that another rule knows.
//
// The package never parses, checks or changes a reference.
//
// An Object contains only the fields that the rules read. It is never encoded again:
// changes are patches for the paths in this table, so other fields are not lost.
package podimages

import (
	"iter"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod is the kind Pod.
var Pod = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// place is the path of the pod spec in the objects of a kind.
type place struct {
	path    string
	podSpec func(*Object) *Spec // returns nil if the object has no pod spec
}

var (
	inSpec        = place{"spec", func(o *Object) *Spec { return &o.Spec }}
	inTemplate    = place{"spec.template.spec", func(o *Object) *Spec { return o.Spec.Template.spec() }}
	inPodTemplate = place{"template.spec", func(o *Object) *Spec { return o.Template.spec() }}
	inJobTemplate = place{"spec.jobTemplate.spec.template.spec", func(o *Object) *Spec { return o.Spec.JobTemplate.innerSpec() }}
)

// places is the table of the kinds that have a pod spec.
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

// HasPodSpec reports whether objects of the kind have a pod spec.
func HasPodSpec(kind metav1.GroupVersionKind) bool {
	_, ok := places[kind]
	return ok
}

// field is a list in a pod spec whose entries name images.
type field struct {
	list       string
	holder     string // what an entry is: "container" or "volume"
	reference  string // path of the image reference in an entry
	pullPolicy string // path of the pull policy in an entry
	optional   bool   // whether an entry may have no image
	count      func(*Spec) int
	entry      func(*Spec, int) (name, reference string, policy PullPolicy)
}

// fields is the table of image fields.
var fields = []field{
	containers("containers", func(s *Spec) []Container { return s.Containers }),
	containers("initContainers", func(s *Spec) []Container { return s.InitContainers }),
	containers("ephemeralContainers", func(s *Spec) []Container { return s.EphemeralContainers }),
	{
		list: "volumes", holder: "volume", reference: "image.reference", pullPolicy: "image.pullPolicy", optional: true,
		count: func(s *Spec) int { return len(s.Volumes) },
		entry: func(s *Spec, i int) (string, string, PullPolicy) {
			v := &s.Volumes[i]
			return v.Name, v.Image.Reference, v.Image.PullPolicy
		},
	},
}

// containers returns the field of a list of containers.
func containers(list string, entries func(*Spec) []Container) field {
	return field{
		list: list, holder: "container", reference: "image", pullPolicy: "imagePullPolicy",
		count: func(s *Spec) int { return len(entries(s)) },
		entry: func(s *Spec, i int) (string, string, PullPolicy) {
			c := &entries(s)[i]
			return c.Name, c.Image, c.ImagePullPolicy
		},
	}
}

// Image is an image in an object, with the path of its field.
type Image struct {
	Holder     string     // what uses the image: "container" or "volume"
	Name       string     // the holder's name
	Reference  string     // as written, perhaps invalid
	PullPolicy PullPolicy // as written, perhaps invalid, or empty

	specPath string // of the pod spec
	field    *field
	index    int
}

// allImages yields the images of an object. It yields an empty reference for a
// container without an image, which is invalid, but skips a volume without an image,
// which has another type. It yields nothing for a kind without a pod spec and for nil.
func allImages(kind metav1.GroupVersionKind, o *Object) iter.Seq[Image] {
	return func(yield func(Image) bool) {
		place, ok := places[kind]
		if !ok || o == nil {
			return
		}
		spec := place.podSpec(o)
		for i := range fields {
			if spec == nil || !fields[i].yieldImages(spec, place.path, yield) {
				return
			}
		}
	}
}

// yieldImages yields the images of one field and reports whether to continue.
func (f *field) yieldImages(spec *Spec, specPath string, yield func(Image) bool) bool {
	for i := range f.count(spec) {
		name, reference, policy := f.entry(spec, i)
		if reference == "" && f.optional {
			continue
		}
		if !yield(Image{Holder: f.holder, Name: name, Reference: reference, PullPolicy: policy, specPath: specPath, field: f, index: i}) {
			return false
		}
	}
	return true
}

// NewImages yields the images that old does not contain in the same list under the same
// name. If old is nil, it yields all images.
func NewImages(kind metav1.GroupVersionKind, o, old *Object) iter.Seq[Image] {
	if old == nil {
		return allImages(kind, o) // most requests are creations: they need no map
	}
	return func(yield func(Image) bool) {
		before := map[entryID]string{}
		for i := range allImages(kind, old) {
			before[i.entryID()] = i.Reference
		}
		for i := range allImages(kind, o) {
			if reference, ok := before[i.entryID()]; ok && reference == i.Reference {
				continue
			}
			if !yield(i) {
				return
			}
		}
	}
}

// entryID identifies a list entry, even if the list grows or changes its order.
type entryID struct{ list, name string }

func (i Image) entryID() entryID { return entryID{i.field.list, i.Name} }

// Field returns the path of the image in the notation of Kubernetes' messages.
func (i Image) Field() string {
	return i.specPath + "." + i.field.list + "[" + strconv.Itoa(i.index) + "]." + i.field.reference
}

// Key returns the path of the image as a key of audit annotations, which must
// not contain slashes or brackets.
func (i Image) Key() string { return i.key(i.field.reference) }

// PullPolicyKey returns the Key of the image's pull policy.
func (i Image) PullPolicyKey() string { return i.key(i.field.pullPolicy) }

func (i Image) key(entryPath string) string {
	return i.specPath + "." + i.field.list + "." + strconv.Itoa(i.index) + "." + entryPath
}

// Pointer returns the JSON pointer (RFC 6901) of the image.
func (i Image) Pointer() string { return i.pointer(i.field.reference) }

// PullPolicyPointer returns the Pointer of the image's pull policy. The policy may be
// absent, but its parent exists, because it also contains the image.
func (i Image) PullPolicyPointer() string { return i.pointer(i.field.pullPolicy) }

func (i Image) pointer(entryPath string) string {
	return "/" + slashed(i.specPath) + "/" + i.field.list + "/" + strconv.Itoa(i.index) + "/" + slashed(entryPath)
}

// slashed returns a dotted path in the form of a JSON pointer.
func slashed(path string) string { return strings.ReplaceAll(path, ".", "/") }
