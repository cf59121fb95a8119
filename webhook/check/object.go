package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/manifest"
	"github.com/image-webhook/image-webhook/webhook/podimages"
	"github.com/image-webhook/image-webhook/webhook/report"
)

// result is what was found in a document.
type result struct {
	objects  int            // that can have images
	images   []checkedImage // in the order of their places
	problems []report.Problem
	mirrored []report.Missing // images that belong on a mirror
}

// checkedImage is an image, and the edit that writes the mirrored one into the file.
type checkedImage struct {
	report.Image
	edit *manifest.Edit // nil: there is none
}

// documentCheck checks the objects of a document.
type documentCheck struct {
	Options
	place    report.Place // of the document
	document *manifest.Document
	result
}

func checkDocument(file string, d *manifest.Document, o Options) result {
	c := documentCheck{Options: o, place: report.Place{File: file, Document: d.Number}, document: d}
	objects, err := d.Objects()
	if err != nil {
		c.addError(err)
	}
	for _, object := range objects {
		if err := c.check(object); err != nil {
			c.addError(err)
		}
	}
	slices.SortStableFunc(c.images, func(a, b checkedImage) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return c.result
}

// addError adds an error, which has a place if it is a *manifest.Error.
func (c *documentCheck) addError(err error) {
	place := c.place
	if at := new(manifest.Error); errors.As(err, &at) {
		place.Line, place.Column = at.Line, at.Column
	}
	c.problems = append(c.problems, report.Problem{Place: place, Message: err.Error()})
}

// check checks the images of an object.
func (c *documentCheck) check(o *manifest.Object) error {
	paths, known := c.ImagePaths.find(o.Kind)
	switch {
	case known:
		c.objects++
		for _, path := range paths {
			o.FindAll(path, func(field string, value manifest.Value) { c.checkCustom(o, field, value) })
		}
	case podimages.HasPodSpec(o.Kind):
		c.objects++
		return c.checkPodSpec(o)
	default:
		return unchecked(o)
	}
	return nil
}

// checkPodSpec checks an object of a kind with a pod spec.
func (c *documentCheck) checkPodSpec(o *manifest.Object) error {
	decoded, err := o.Decode()
	if err != nil {
		return err
	}
	if o.Kind == podimages.Pod && decoded.IsStatic() {
		return nil // the kubelet runs it anyway
	}
	found := places{"": o.Root()}
	for img := range (podimages.Images{Kind: o.Kind, Object: decoded}).Each {
		c.add(o, img.Field(), img, found.find(string(img.AppendPointer(nil))))
	}
	return nil
}

// places are the values at pointers. They are kept because an object can have many images.
type places map[string]manifest.Value

// find returns the value at a pointer, or else the last one on the way to it: a container without an image
// has at least a place.
func (p places) find(pointer string) manifest.Value {
	if value, found := p[pointer]; found {
		return value
	}
	last := strings.LastIndexByte(pointer, '/')
	value := p.find(pointer[:last])
	if child, found := value.Find(pointer[last:]); found {
		value = child
	}
	p[pointer] = value
	return value
}

// checkCustom checks a value of a kind that Kubernetes does not know: an image, or a pod spec.
func (c *documentCheck) checkCustom(o *manifest.Object, field string, value manifest.Value) {
	if value.IsText() {
		c.add(o, field, podimages.Image{Reference: value.Text}, value)
		return
	}
	if !value.IsPodSpec() {
		c.addError(&manifest.Error{Line: value.Line, Column: value.Column, Err: fmt.Errorf("%s is neither an image nor a pod spec: change --image-path", field)})
		return
	}
	decoded, err := o.DecodePodSpec(value)
	if err != nil {
		c.addError(err)
		return
	}
	const spec = "spec" // of the pod
	found := places{"": value}
	for img := range (podimages.Images{Kind: podimages.Pod, Object: decoded}).Each {
		place := found.find(strings.TrimPrefix(string(img.AppendPointer(nil)), "/"+spec))
		c.add(o, field+strings.TrimPrefix(img.Field(), spec), img, place)
	}
}

// add adds an image.
func (c *documentCheck) add(o *manifest.Object, field string, img podimages.Image, value manifest.Value) {
	found := c.Rules.Inspect(img.Reference)
	entry := checkedImage{Image: report.Image{
		Place:  c.place,
		Object: strings.ToLower(o.Kind.Kind) + "/" + o.Name, Namespace: o.Namespace,
		Field: field, Image: img.Reference, Mirrored: found.Mirrored,
	}}
	if img.Holder != "" {
		entry.Holder = fmt.Sprintf("%s %q", img.Holder, img.Name)
	}
	entry.Line, entry.Column = value.Line, value.Column
	for _, v := range found.Violations {
		entry.Violations = append(entry.Violations, report.Violation{Rule: v.Rule.String(), Reason: v.Reason, Remedy: v.Remedy})
	}
	switch {
	case found.MirrorRule != "":
		c.mirrored = append(c.mirrored, report.Missing{Place: entry.Place, From: fullName(img.Reference), To: found.Mirrored})
	case len(found.Origins) > 0:
		c.mirrored = append(c.mirrored, report.Missing{Place: entry.Place, From: fullName(found.Origins[0]), To: img.Reference})
	}
	if c.FixMirrors && found.Mirrored != "" {
		entry.edit = c.replace(field, value, found.Mirrored)
	}
	c.images = append(c.images, entry)
}

// fullName returns a valid reference with its registry, as copying tools expect it.
func fullName(reference string) string {
	ref, err := image.Parse(reference)
	if err != nil {
		return reference
	}
	return ref.String()
}

// replace returns the edit that writes a mirrored image, or nil if that is not possible.
func (c *documentCheck) replace(field string, value manifest.Value, mirrored string) *manifest.Edit {
	edit, err := c.document.Replace(value, mirrored)
	if err != nil {
		c.addError(&manifest.Error{Line: value.Line, Column: value.Column, Err: fmt.Errorf("cannot fix %s: the image %w", field, err)})
		return nil
	}
	return &edit
}

// unchecked returns an error for an object that has images in fields that are not known.
func unchecked(o *manifest.Object) error {
	line, column := o.Place()
	name := o.Kind.Kind
	if o.Group != "" {
		name += "." + o.Group
	}
	if isBuiltIn(o.Group) {
		if podimages.IsPodKind(o.Kind.Kind) {
			return &manifest.Error{Line: line, Column: column, Err: fmt.Errorf("unknown version %q of kind %s: use the current version", o.Version, name)}
		}
		return nil
	}
	field, value, found := o.UnknownImage()
	if !found {
		return nil
	}
	return &manifest.Error{Line: value.Line, Column: value.Column, Err: fmt.Errorf(
		"kind %s is unknown, and %s looks like an image: name the fields of its images, such as --image-path=%s=%s, or --image-path=%s= if it has none",
		name, field, name, customPath(field), name)}
}

// isBuiltIn reports whether a group belongs to Kubernetes: its name has no dot, or ends in k8s.io. Groups
// below x-k8s.io are those of custom resources.
func isBuiltIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".x-k8s.io")
}

// customPath returns a field in the form of --image-path: the pod spec, if it has the image.
func customPath(field string) string {
	var path []string
	for part := range strings.SplitSeq(field, ".") {
		name, _, _ := strings.Cut(part, "[")
		if slices.Contains([]string{"containers", "initContainers"}, name) {
			break
		}
		path = append(path, name)
	}
	return strings.Join(path, ".")
}
