package podimages

import (
	"bytes"
	"slices"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
)

// Object contains the fields of an object that the rules read. All kinds in the table
// share this type, so that a body is decoded in one pass in any order of its keys.
// This works because no two kinds have different fields at the same path.
type Object struct {
	Metadata Metadata
	Spec     Spec
	Template *Template // only in a PodTemplate
}

// Decode reads an object.
func (o *Object) Decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "metadata":
			return o.Metadata.decode(d)
		case "spec":
			return o.Spec.decode(d)
		case "template":
			return decodeTemplate(d, &o.Template)
		}
		return d.Skip()
	})
}

// Metadata contains the name, the labels and the annotations of an object.
type Metadata struct {
	Name         string
	GenerateName string
	Labels       Pairs
	Annotations  Pairs
}

func (m *Metadata) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "name":
			return d.Text(&m.Name)
		case "generateName":
			return d.Text(&m.GenerateName)
		case "labels":
			return d.Raw((*[]byte)(&m.Labels))
		case "annotations":
			return d.Raw((*[]byte)(&m.Annotations))
		}
		return d.Skip()
	})
}

// Pairs are labels or annotations in JSON. They stay encoded because a pod can
// have many of them and they are rarely read.
type Pairs []byte

// lookUp returns the value of a key. It does not find a key that is escaped in the
// JSON.
func (p Pairs) lookUp(key string) (value string, ok bool) {
	if !bytes.Contains(p, []byte(key)) {
		return "", false
	}
	var d jsonfields.Decoder
	err := d.Decode(p, nil, func(d *jsonfields.Decoder) error {
		return d.Member(key, func() error {
			ok = true
			return d.Text(&value)
		})
	})
	return value, ok && err == nil
}

// Label returns the value of a label.
func (o *Object) Label(key string) (value string, ok bool) {
	return o.Metadata.Labels.lookUp(key)
}

// Spec contains the fields of a pod spec that name images, and the templates in the
// spec of a workload.
type Spec struct {
	Containers          []Container
	InitContainers      []Container
	EphemeralContainers []Container
	Volumes             []Volume

	PullSecrets []byte // imagePullSecrets in JSON: they are rarely read

	Template    *Template // of pods
	JobTemplate *Template // of Jobs, in a CronJob
}

func (s *Spec) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "containers":
			return decodeContainers(d, &s.Containers)
		case "initContainers":
			return decodeContainers(d, &s.InitContainers)
		case "ephemeralContainers":
			return decodeContainers(d, &s.EphemeralContainers)
		case "volumes":
			return jsonfields.List(d, &s.Volumes, func(v *Volume) error { return v.decode(d) })
		case "imagePullSecrets":
			return d.Raw(&s.PullSecrets)
		case "template":
			return decodeTemplate(d, &s.Template)
		case "jobTemplate":
			return decodeTemplate(d, &s.JobTemplate)
		}
		return d.Skip()
	})
}

// PullSecretsPointer and PullSecretsKey are the JSON pointer and the Key of the list of a pod's image
// pull secrets.
const (
	PullSecretsPointer = "/spec/imagePullSecrets"
	PullSecretsKey     = "spec.imagePullSecrets"
)

// MissingPullSecrets returns which of the names are not in a pod's list of image pull secrets, and
// whether the list is empty. It returns none if the list is invalid: the API server refuses the pod.
// It does not keep the list, whose memory no review has reserved.
func (o *Object) MissingPullSecrets(names []string) (missing []string, empty bool) {
	missing, empty = slices.Clone(names), true
	if len(o.Spec.PullSecrets) == 0 {
		return missing, empty
	}
	var d jsonfields.Decoder
	err := d.Decode(o.Spec.PullSecrets, nil, func(d *jsonfields.Decoder) error {
		return d.Each(func() error {
			var present string
			err := d.Member("name", func() error { return d.Text(&present) })
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == present })
			empty = false
			return err
		})
	})
	if err != nil {
		return nil, false
	}
	return missing, empty
}

// Template is a template of pods or of Jobs.
type Template struct {
	Spec Spec
}

func decodeTemplate(d *jsonfields.Decoder, t **Template) error {
	return jsonfields.Optional(d, t, new(Template), func(t *Template) error {
		return d.Member("spec", func() error { return t.Spec.decode(d) })
	})
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
	Name       string
	Image      string
	PullPolicy string
}

func decodeContainers(d *jsonfields.Decoder, list *[]Container) error {
	return jsonfields.List(d, list, func(c *Container) error {
		return d.Object(func(key string) error {
			switch key {
			case "name":
				return d.Text(&c.Name)
			case "image":
				return d.Text(&c.Image)
			case "imagePullPolicy":
				return d.Text(&c.PullPolicy)
			}
			return d.Skip()
		})
	})
}

// Volume is a volume of a pod. Only image volumes have a reference.
type Volume struct {
	Name       string
	Reference  string
	PullPolicy string
}

func (v *Volume) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "name":
			return d.Text(&v.Name)
		case "image":
			return v.decodeImage(d)
		}
		return d.Skip()
	})
}

func (v *Volume) decodeImage(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "reference":
			return d.Text(&v.Reference)
		case "pullPolicy":
			return d.Text(&v.PullPolicy)
		}
		return d.Skip()
	})
}

// configMirror is the annotation of mirror pods. They represent static pods, which
// the kubelet reads from files, in the API server.
const configMirror = "kubernetes.io/config.mirror"

// IsStatic reports whether the object is the mirror pod of a static pod. The
// kubelet runs the static pod from its file, regardless of the mirror pod. Users
// cannot bypass the rules with this annotation: it cannot be removed later, and the
// kubelet deletes a mirror pod that has no file.
func (o *Object) IsStatic() bool {
	_, ok := o.Metadata.Annotations.lookUp(configMirror)
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
