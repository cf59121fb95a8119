package admission

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/owner"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// namespaceRequest contains the fields that decide about the owner of a new namespace.
type namespaceRequest struct {
	uid         string
	kind        podimages.Kind
	subResource string
	operation   string
	username    string
	object      *namespaceMetadata
}

// namespaceMetadata contains fields of a namespace's metadata.
type namespaceMetadata struct {
	name         string
	generateName string
	annotations  map[string]string
	labels       map[string]string
}

func (r *namespaceRequest) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "uid":
			return d.Text(&r.uid)
		case "kind":
			return decodeKind(d, &r.kind)
		case "subResource":
			return d.Text(&r.subResource)
		case "operation":
			return d.Text(&r.operation)
		case "userInfo":
			return d.Member("username", func() error { return d.Text(&r.username) })
		case "object":
			return jsonfields.Optional(d, &r.object, new(namespaceMetadata), func(m *namespaceMetadata) error {
				return d.Member("metadata", func() error { return m.decode(d) })
			})
		}
		return d.Skip()
	})
}

func (m *namespaceMetadata) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "name":
			return d.Text(&m.name)
		case "generateName":
			return d.Text(&m.generateName)
		case "annotations":
			return d.Texts(&m.annotations, owner.Annotation)
		case "labels":
			return d.Texts(&m.labels, owner.TenancyLabel)
		}
		return d.Skip()
	})
}

// stampFunc returns the stamp of a new namespace. An error is a denial.
type stampFunc func(*namespaceRequest) (owner.Stamp, error)

// stampRequester makes the requester the owner. It denies a namespace that names another owner.
func stampRequester(r *namespaceRequest) (owner.Stamp, error) {
	return owner.StampRequester(r.namespace(), r.username)
}

// stampChosen is for requesters who may choose the owner. The API server calls its handler only if
// the namespace names one.
func stampChosen(r *namespaceRequest) (owner.Stamp, error) { return owner.StampChosen(r.namespace()) }

// namespaceOwners returns the function that writes the owner into new namespaces, and logs denials
// and stamps.
func namespaceOwners(stamp stampFunc) answerFunc {
	return func(report *reporter, x *exchange) error {
		r, err := decodeReview[namespaceRequest](x)
		if err != nil {
			return err
		}
		stamped, err := stamp(r)
		report.namespace(r, stamped, err)
		resp := r.respond(stamped, err)
		x.summary = Summary{Operation: r.operation, Outcome: resp.outcome()}
		x.answer = resp.append(x.answer, r.uid, "")
		return nil
	}
}

// check returns an error for a request that the handler must not be registered for.
func (r *namespaceRequest) check() error {
	switch {
	case r.uid == "":
		return errors.New("the request has no uid: add the field uid")
	case r.kind != namespaceKind || r.subResource != "":
		return fmt.Errorf("the request is for %s: register only namespaces", describe(r.kind, r.subResource))
	case r.operation != operationCreate:
		return fmt.Errorf("the operation is %s: register only CREATE", quote(r.operation))
	case r.object == nil:
		return errors.New("the request has no object: add the field object")
	}
	return nil
}

func (r *namespaceRequest) namespace() owner.Namespace {
	return owner.Namespace{Annotations: r.object.annotations, Labels: r.object.labels}
}

// respond returns a denial, or a response that adds the stamp to the namespace.
func (r *namespaceRequest) respond(stamp owner.Stamp, denied error) Response {
	if denied != nil {
		return Response{Message: denied.Error()}
	}
	var p patch
	if stamp.Owner != "" {
		p.addPair("/metadata/annotations", r.object.annotations, owner.Annotation, stamp.Owner)
	}
	if stamp.Tenancy != "" {
		p.addPair("/metadata/labels", r.object.labels, owner.TenancyLabel, stamp.Tenancy)
	}
	return Response{Allowed: true, Patch: p.end()}
}

// addPair adds a pair to the map at a path. If the map is missing, a path into it would not
// apply, so the operation adds a map with the pair.
func (p *patch) addPair(path string, pairs map[string]string, key, value string) {
	p.begin("add")
	p.operations = append(p.operations, path...)
	if pairs != nil {
		p.operations = append(append(p.operations, '/'), strings.ReplaceAll(key, "/", "~1")...)
		p.value(value)
		return
	}
	p.operations = appendString(append(p.operations, `","value":{`...), key)
	p.operations = appendString(append(p.operations, ':'), value)
	p.operations = append(p.operations, "}}"...)
}

// namespace logs a denial or the stamp of a namespace.
func (r *reporter) namespace(req *namespaceRequest, stamp owner.Stamp, denied error) {
	name := req.object.name
	if name == "" {
		name = req.object.generateName + "*"
	}
	object := slog.String("object", "namespace/"+clip(name, maxQuoted))
	user, uid := slog.String("user", clip(req.username, maxQuoted)), slog.String("uid", clip(req.uid, maxQuoted))
	switch {
	case denied != nil:
		r.write(slog.LevelWarn, "denied", object, user, uid, reason(denied.Error()))
	case stamp != (owner.Stamp{}):
		r.write(slog.LevelInfo, "stamped", object, user, uid, slog.String("owner", clip(stamp.Owner, maxQuoted)), slog.String("tenancy", stamp.Tenancy))
	}
}
