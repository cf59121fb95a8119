package admission

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// NamespaceOwners returns a handler that writes the requester into a new namespace, as its
// owner. It denies a namespace that names another owner.
func NamespaceOwners(log *slog.Logger) http.Handler {
	return namespaceHandler(log, func(r *namespaceRequest) (owner.Stamp, error) {
		return owner.StampRequester(r.namespace(), r.username)
	})
}

// ChosenNamespaceOwners returns a handler for requesters who may choose the owner. The API
// server calls it only if the namespace names one.
func ChosenNamespaceOwners(log *slog.Logger) http.Handler {
	return namespaceHandler(log, func(r *namespaceRequest) (owner.Stamp, error) { return owner.StampChosen(r.namespace()) })
}

// namespaceHandler returns a handler that adds a stamp to new namespaces, and logs denials
// and stamps. An error of stamp is a denial.
func namespaceHandler(log *slog.Logger, stamp func(*namespaceRequest) (owner.Stamp, error)) http.Handler {
	return handler(log, func(x *exchange) error {
		r, err := decodeReview[namespaceRequest](x)
		if err != nil {
			return err
		}
		stamped, err := stamp(r)
		r.record(log, stamped, err)
		resp := r.respond(stamped, err)
		x.answer = resp.append(x.answer, r.uid)
		return nil
	})
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

// record logs a denial or the stamp of a namespace.
func (r *namespaceRequest) record(log *slog.Logger, stamp owner.Stamp, denied error) {
	name := r.object.name
	if name == "" {
		name = r.object.generateName + "*"
	}
	object := slog.String("object", "namespace/"+clip(name, maxQuoted))
	switch {
	case denied != nil:
		log.Warn("denied", object, slog.String("reason", clip(denied.Error(), maxLogged)))
	case stamp != (owner.Stamp{}):
		log.Info("stamped", object, slog.String("owner", clip(stamp.Owner, maxQuoted)), slog.String("tenancy", stamp.Tenancy))
	}
}
