package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// pageSize is the number of objects in a page, as in kubectl.
const pageSize = 500

// requestLimit is how long a request may take. The API server itself gives up after a minute.
const requestLimit = 90 * time.Second

// reader reads objects as JSON, one page at a time.
type reader struct {
	client rest.Interface
	page   bytes.Buffer // used again for each page
}

func newReader(config *rest.Config) (*reader, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // one request at a time
	config.Timeout = requestLimit
	config.WarningHandler = rest.NoWarnings{}
	config.GroupVersion = &schema.GroupVersion{}
	config.AcceptContentTypes, config.ContentType = "application/json", "application/json"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	return &reader{client: client}, err
}

// get reads one object. The item is valid until the next call of a method.
func (r *reader) get(ctx context.Context, path string) (i item, err error) {
	if err := r.read(ctx, r.client.Get().AbsPath(path)); err != nil {
		return i, err
	}
	return i, i.decode(r.page.Bytes())
}

// list calls handle for each object of a list, and then pageEnd for each page. The item is valid only
// during the call.
func (r *reader) list(ctx context.Context, path string, handle func(*item), pageEnd func()) error {
	for next := ""; ; {
		request := r.client.Get().AbsPath(path).Param("limit", strconv.Itoa(pageSize))
		if next != "" {
			request.Param("continue", next)
		}
		err := r.read(ctx, request)
		if token := freshToken(err); token != "" && token != next {
			next = token
			continue
		}
		if err != nil {
			return err
		}
		if next, err = decodePage(r.page.Bytes(), handle); err != nil {
			return fmt.Errorf("invalid answer of the API server: %w", err)
		}
		if pageEnd(); next == "" {
			return nil
		}
	}
}

// freshToken returns the token in the error of an API server that no longer has the state of the first
// page. The token continues after the last page with the current state. Reading all objects again without
// pages, like the pager of client-go, would need memory for all of them.
func freshToken(err error) string {
	var status *apierrors.StatusError
	if !apierrors.IsResourceExpired(err) || !errors.As(err, &status) {
		return ""
	}
	return status.ErrStatus.Continue
}

// read reads the answer to a request into the page.
func (r *reader) read(ctx context.Context, request *rest.Request) error {
	body, err := request.Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	r.page.Reset()
	_, err = r.page.ReadFrom(body)
	return err
}

// decodePage calls handle for each object of a page, and returns the token of the next page.
func decodePage(page []byte, handle func(*item)) (next string, err error) {
	var d jsonfields.Decoder
	err = d.Decode(page, jsonfields.Unlimited{}, func(d *jsonfields.Decoder) error {
		return d.Object(func(key string) error {
			switch key {
			case "metadata":
				return d.Member("continue", func() error { return d.Text(&next) })
			case "items":
				return d.Each(func() error { return decodeItem(d, handle) })
			}
			return d.Skip()
		})
	})
	return string([]byte(next)), err // a copy: the next page overwrites the text
}

func decodeItem(d *jsonfields.Decoder, handle func(*item)) error {
	var text []byte
	if err := d.Raw(&text); err != nil {
		return err
	}
	var i item
	if err := i.decode(text); err != nil {
		return err
	}
	handle(&i)
	return nil
}

// item is an object of a list.
type item struct {
	object     podimages.Object
	namespace  string
	owners     []ownerReference
	phase      string // of a pod
	conditions []condition
}

type ownerReference struct {
	apiVersion, kind, name string
	controller             []byte // JSON
}

type condition struct{ kind, status string }

// decode reads an object. The server's decoder reads the images, and a second one what only an audit needs.
func (i *item) decode(text []byte) error {
	var d jsonfields.Decoder
	if err := d.Decode(text, jsonfields.Unlimited{}, i.object.Decode); err != nil {
		return err
	}
	return d.Decode(text, jsonfields.Unlimited{}, func(d *jsonfields.Decoder) error {
		return d.Object(func(key string) error {
			switch key {
			case "metadata":
				return i.decodeMetadata(d)
			case "status":
				return i.decodeStatus(d)
			}
			return d.Skip()
		})
	})
}

func (i *item) decodeMetadata(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "namespace":
			return d.Text(&i.namespace)
		case "ownerReferences":
			return jsonfields.List(d, &i.owners, func(o *ownerReference) error { return o.decode(d) })
		}
		return d.Skip()
	})
}

func (o *ownerReference) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "apiVersion":
			return d.Text(&o.apiVersion)
		case "kind":
			return d.Text(&o.kind)
		case "name":
			return d.Text(&o.name)
		case "controller":
			return d.Raw(&o.controller)
		}
		return d.Skip()
	})
}

func (i *item) decodeStatus(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "phase":
			return d.Text(&i.phase)
		case "conditions":
			return jsonfields.List(d, &i.conditions, func(c *condition) error { return c.decode(d) })
		}
		return d.Skip()
	})
}

func (c *condition) decode(d *jsonfields.Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "type":
			return d.Text(&c.kind)
		case "status":
			return d.Text(&c.status)
		}
		return d.Skip()
	})
}

// labels returns the labels of the object.
func (i *item) labels() (labels map[string]string) {
	_ = json.Unmarshal(i.object.Metadata.Labels, &labels) // invalid ones cannot be stored
	return labels
}
