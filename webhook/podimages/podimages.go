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
	"strconv"
	"strings"
)

// Kind identifies a kind of objects, like metav1.GroupVersionKind.
type Kind struct{ Group, Version, Kind string }

// Pod is the kind Pod.
var Pod = Kind{Version: "v1", Kind: "Pod"}

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
var places = map[Kind]place{
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
func HasPodSpec(kind Kind) bool {
	_, ok := places[kind]
	return ok
}

// IsPodKind reports whether a kind of this name has a pod spec, in any group and version.
func IsPodKind(name string) bool {
	for kind := range places {
		if kind.Kind == name {
			return true
		}
	}
	return false
}

// field is a list in a pod spec whose entries name images.
type field struct {
	list       string
	holder     string // what an entry is: "container" or "volume"
	reference  string // path of the image reference in an entry
	pullPolicy string // path of the pull policy in an entry
	optional   bool   // whether an entry may have no image
	count      func(*Spec) int
	entry      func(*Spec, int) (name, reference string, policy string)
}

// fields is the table of image fields.
var fields = []field{
	containers("containers", func(s *Spec) []Container { return s.Containers }),
	containers("initContainers", func(s *Spec) []Container { return s.InitContainers }),
	containers("ephemeralContainers", func(s *Spec) []Container { return s.EphemeralContainers }),
	{
		list: "volumes", holder: "volume", reference: "image.reference", pullPolicy: "image.pullPolicy", optional: true,
		count: func(s *Spec) int { return len(s.Volumes) },
		entry: func(s *Spec, i int) (string, string, string) {
			v := &s.Volumes[i]
			return v.Name, v.Reference, v.PullPolicy
		},
	},
}

// containers returns the field of a list of containers.
func containers(list string, entries func(*Spec) []Container) field {
	return field{
		list: list, holder: "container", reference: "image", pullPolicy: "imagePullPolicy",
		count: func(s *Spec) int { return len(entries(s)) },
		entry: func(s *Spec, i int) (string, string, string) {
			c := &entries(s)[i]
			return c.Name, c.Image, c.PullPolicy
		},
	}
}

// Image is an image in an object, with the path of its field.
type Image struct {
	Holder     string // what uses the image: "container" or "volume"
	Name       string // the holder's name
	Reference  string // as written, perhaps invalid
	PullPolicy string // as written, perhaps invalid, or empty

	specPath string // of the pod spec
	field    *field
	index    int
}

// Images are the images of an object, or of a change of an object.
type Images struct {
	Kind   Kind
	Object *Object // nil: no images
	// Old is the object before an update. Its images are skipped if Object has them in the
	// same list under the same name. nil: all images are new.
	Old *Object
}

// Each yields the new images: for img := range images.Each. It yields an empty reference for a
// container without an image, which is invalid, but skips a volume without an image, which
// has another type. It yields nothing for a kind without a pod spec.
func (i Images) Each(yield func(Image) bool) {
	place, ok := places[i.Kind]
	if !ok || i.Object == nil {
		return
	}
	before := oldImages{spec: place.spec(i.Old)}
	if spec := place.spec(i.Object); spec != nil {
		spec.each(place.path, func(img Image) bool { return before.contain(img) || yield(img) })
	}
}

// spec returns the pod spec of an object, or nil.
func (p place) spec(o *Object) *Spec {
	if o == nil {
		return nil
	}
	return p.podSpec(o)
}

// each yields the images of a pod spec, which is at a path.
func (s *Spec) each(path string, yield func(Image) bool) {
	for i := range fields {
		if !fields[i].yieldImages(s, path, yield) {
			return
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

// oldImages are the images of the object before an update.
type oldImages struct {
	spec *Spec // nil: none
	set  map[entry]bool
}

// entry identifies an image in a list, even if the list grows or changes its order.
type entry struct{ list, name, reference string }

func (i Image) entry() entry { return entry{i.field.list, i.Name, i.Reference} }

// maxSearched is the number of entries of a list that are searched one by one.
const maxSearched = 64

// contain reports whether the old object has the image. Most updates keep the order of the
// lists, so the search begins at the same index.
func (o *oldImages) contain(i Image) bool {
	if o.spec == nil {
		return false
	}
	n := i.field.count(o.spec)
	for k := range min(n, maxSearched) {
		if name, reference, _ := i.field.entry(o.spec, (i.index+k)%n); name == i.Name && reference == i.Reference {
			return true
		}
	}
	return n > maxSearched && o.all()[i.entry()]
}

// all returns the set of the old images.
func (o *oldImages) all() map[entry]bool {
	if o.set == nil {
		o.set = map[entry]bool{}
		o.spec.each("", func(img Image) bool {
			o.set[img.entry()] = true
			return true
		})
	}
	return o.set
}

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

// AppendPointer appends the JSON pointer (RFC 6901) of the image.
func (i Image) AppendPointer(b []byte) []byte { return i.appendPointer(b, i.field.reference) }

// AppendPullPolicyPointer appends the JSON pointer of the image's pull policy. The policy may
// be absent, but its parent exists, because it also contains the image.
func (i Image) AppendPullPolicyPointer(b []byte) []byte {
	return i.appendPointer(b, i.field.pullPolicy)
}

func (i Image) appendPointer(b []byte, entryPath string) []byte {
	b = append(append(b, '/'), slashed(i.specPath)...)
	b = append(append(b, '/'), i.field.list...)
	b = strconv.AppendInt(append(b, '/'), int64(i.index), 10)
	return append(append(b, '/'), slashed(entryPath)...)
}

// slashed returns a dotted path in the form of a JSON pointer.
func slashed(path string) string { return strings.ReplaceAll(path, ".", "/") }
