// Package parsers compares the decoder of the webhook with JSON libraries. Its tests show how
// each one treats texts that an attacker could send, and its benchmark how long each one takes:
//
//	go -C tools/parsers test -bench . -benchmem -cpu 1
//
// docs/design.md has the result. The package is a module of its own, because the libraries must
// not be dependencies of the product.
package parsers

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/bytedance/sonic"
	"github.com/go-faster/jx"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	goccy "github.com/goccy/go-json"
	segmentio "github.com/segmentio/encoding/json"
	"github.com/tidwall/gjson"
	"github.com/valyala/fastjson"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
)

// review has the fields that the parsers decode.
type review struct {
	Request struct {
		Object struct {
			Spec struct {
				Containers []container `json:"containers"`
			} `json:"spec"`
		} `json:"object"`
	} `json:"request"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// parser decodes the containers of a review.
type parser struct {
	name   string
	decode func(text []byte) ([]container, error)
}

var parsers = []parser{
	{"encoding/json", unmarshal(json.Unmarshal)},
	{"go-json-experiment", unmarshal(func(text []byte, v any) error { return jsonv2.Unmarshal(text, v) })},
	{"go-json-experiment-lax", unmarshal(func(text []byte, v any) error {
		return jsonv2.Unmarshal(text, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	})},
	{"segmentio", unmarshal(segmentio.Unmarshal)},
	{"sonic", unmarshal(sonic.Unmarshal)},
	{"goccy", unmarshal(func(text []byte, v any) error { return goccy.Unmarshal(text, v) })},
	{"fastjson", decodeFastjson},
	{"gjson", decodeGjson},
	{"jx", decodeJx},
	{"jsonfields", decodeJSONFields},
}

// unmarshal returns the decode function of a library with the interface of encoding/json.
func unmarshal(decode func(text []byte, v any) error) func([]byte) ([]container, error) {
	return func(text []byte) ([]container, error) {
		var r review
		err := decode(text, &r)
		return r.Request.Object.Spec.Containers, err
	}
}

var pool fastjson.ParserPool

func decodeFastjson(text []byte) (containers []container, err error) {
	p := pool.Get()
	defer pool.Put(p)
	v, err := p.ParseBytes(text)
	if err != nil {
		return nil, err
	}
	for _, c := range v.GetArray("request", "object", "spec", "containers") {
		containers = append(containers, container{string(c.GetStringBytes("name")), string(c.GetStringBytes("image"))})
	}
	return containers, nil
}

func decodeGjson(text []byte) (containers []container, err error) {
	if !gjson.ValidBytes(text) {
		return nil, errors.New("invalid JSON")
	}
	gjson.GetBytes(text, "request.object.spec.containers").ForEach(func(_, c gjson.Result) bool {
		containers = append(containers, container{c.Get("name").String(), c.Get("image").String()})
		return true
	})
	return containers, nil
}

func decodeJx(text []byte) (containers []container, err error) {
	err = member(jx.DecodeBytes(text), []string{"request", "object", "spec", "containers"}, func(d *jx.Decoder) error {
		return d.Arr(func(d *jx.Decoder) error {
			var c container
			defer func() { containers = append(containers, c) }()
			return d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
				switch string(key) {
				case "name":
					c.Name, err = d.Str()
				case "image":
					c.Image, err = d.Str()
				default:
					err = d.Skip()
				}
				return err
			})
		})
	})
	return containers, err
}

// member decodes the value at a path of keys, and skips the rest of the text.
func member(d *jx.Decoder, path []string, decode func(*jx.Decoder) error) error {
	var descend func(d *jx.Decoder, depth int) error
	descend = func(d *jx.Decoder, depth int) error {
		if depth == len(path) {
			return decode(d)
		}
		return d.ObjBytes(func(d *jx.Decoder, key []byte) error {
			if string(key) != path[depth] {
				return d.Skip()
			}
			return descend(d, depth+1)
		})
	}
	if err := descend(d, 0); err != nil {
		return err
	}
	if err := d.Skip(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// unlimited is memory without a limit.
type unlimited struct{}

func (unlimited) Reserve(int64) error { return nil }

func decodeJSONFields(text []byte) (containers []container, err error) {
	var decoder jsonfields.Decoder
	err = decoder.Decode(text, unlimited{}, func(d *jsonfields.Decoder) error {
		return d.Member("request", func() error {
			return d.Member("object", func() error {
				return d.Member("spec", func() error {
					return d.Member("containers", func() error { return decodeContainers(d, &containers) })
				})
			})
		})
	})
	return containers, err
}

func decodeContainers(d *jsonfields.Decoder, containers *[]container) error {
	return jsonfields.List(d, containers, func(c *container) error {
		return d.Object(func(key string) error {
			switch key {
			case "name":
				return d.Text(&c.Name)
			case "image":
				return d.Text(&c.Image)
			}
			return d.Skip()
		})
	})
}
