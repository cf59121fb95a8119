package jsonfields

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// item is a value with every kind of field.
type item struct {
	Name  string
	Child *item
	Items []item
	Pairs map[string]string
	Rest  string
}

func (i *item) decode(d *Decoder) error {
	return d.Object(func(key string) error {
		switch key {
		case "name":
			return d.Text(&i.Name)
		case "child":
			return Optional(d, &i.Child, new(item), func(child *item) error { return child.decode(d) })
		case "items":
			return List(d, &i.Items, func(element *item) error { return element.decode(d) })
		case "pairs":
			return d.Texts(&i.Pairs, "a", "b")
		case "rest":
			var raw []byte
			err := d.Raw(&raw)
			i.Rest = string(raw)
			return err
		}
		return d.Skip()
	})
}

// budget is memory with a limit.
type budget struct{ bytes int64 }

var errBudget = errors.New("no memory")

func (b *budget) Reserve(bytes int64) error {
	if b.bytes -= bytes; b.bytes < 0 {
		return errBudget
	}
	return nil
}

func decode(text string) (i item, err error) {
	var d Decoder
	err = d.Decode([]byte(text), &budget{1 << 20}, i.decode)
	return i, err
}

func TestDecodeReadsFields(t *testing.T) {
	tests := []struct {
		name, text string
		want       item
	}{
		{"null", `null`, item{}},
		{"white space", " {\n\t} \r\n", item{}},
		{"text", `{"name":"a"}`, item{Name: "a"}},
		{"escapes", `{"n\u0061me":"\u0061\n\"\u00fc\ud83d\ude00"}`, item{Name: "a\n\"\u00fc\U0001f600"}},
		{"other keys", `{"Name":"a","names":[1,{"name":"b"}],"x":{"y":[true,false,null,-1.5e+3]}}`, item{}},
		{"null fields", `{"name":null,"child":null,"items":null,"pairs":null}`, item{}},
		{"an empty value before the value", `{"name":"","name":"a"}`, item{Name: "a"}},
		{"child", `{"child":{"child":{"name":"a"}}}`, item{Child: &item{Child: &item{Name: "a"}}}},
		{"items", `{"items":[{"name":"a"},null,{"items":[{}]}]}`, item{Items: []item{{Name: "a"}, {}, {Items: []item{{}}}}}},
		{"more items than the initial capacity", `{"items":[{},{},{},{},{"name":"a"}]}`, item{Items: []item{{}, {}, {}, {}, {Name: "a"}}}},
		{"pairs", `{"pairs":{"a":"1","c":"3","A":"4","d":5}}`, item{Pairs: map[string]string{"a": "1"}}},
		{"empty pairs", `{"pairs":{}}`, item{Pairs: map[string]string{}}},
		{"raw", `{"rest":[ 1, {"a":2} ]}`, item{Rest: `[ 1, {"a":2} ]`}},
		{"nested as deep as possible", nested(MaxDepth), item{}},
		{"children as deep as possible", strings.Repeat(`{"child":`, MaxDepth) + "null" + strings.Repeat("}", MaxDepth), descendants(MaxDepth - 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("item (-want +got):\n%s", diff)
			}
		})
	}
}

// descendants returns an item with so many generations of children.
func descendants(generations int) (i item) {
	for range generations {
		child := i
		i = item{Child: &child}
	}
	return i
}

// nested returns an object with so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat("}", levels-1)
}

func TestDecodeRefusesTexts(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "unexpected end"},
		{"truncated", `{"name":"a`, "unexpected end"},
		{"truncated after a key", `{"name"`, "unexpected end"},
		{"not JSON", "hello", "unexpected byte 'h' at 0"},
		{"UTF-16", "\xff\xfe{\x00", "unexpected byte 0xff at 0"},
		{"a byte order mark", "\ufeff{}", "unexpected byte 0xef at 0"},
		{"a skipped value that is not JSON", `{"x":[1,{"y":01}]}`, "unexpected byte '1' at 14"},
		{"trailing value", `{}{}`, "unexpected byte '{' at 2"},
		{"trailing comma", `{},`, "unexpected byte ',' at 2"},
		{"a control character in a string", "{\"x\":\"\x01\"}", "unexpected byte '\\x01' at 6"},
		{"too deep", nested(MaxDepth + 1), "nested deeper than 200 levels"},
		{"too deep, with brackets in strings", `{"]\"]":` + nested(MaxDepth) + `}`, "nested deeper than 200 levels"},
		{"children too deep", strings.Repeat(`{"child":`, MaxDepth+1), "nested deeper than 200 levels"},
		{"brackets of two kinds", `{"x":[{]}`, "unexpected byte ']' at 7"},
		{"not closed", `{"x":[{},[]`, "unexpected end"},
		{"a number without digits", `{"x":-}`, "unexpected byte '}' at 6"},
		{"a long string with a control character", `{"x":"12345678\u0041 12345` + "\n" + `678"}`, "unexpected byte '\\n' at 26"},
		{"a list", `[]`, "the text must have the JSON type object, not array"},
		{"a number as text", `{"name":7}`, "the field name must have the JSON type string, not number"},
		{"a bool in a list", `{"child":{"items":[{},{"name":true}]}}`, "the field child.items.name must have the JSON type string, not bool"},
		{"an object as list", `{"items":{}}`, "the field items must have the JSON type array, not object"},
		{"text as child", `{"child":"x"}`, "the field child must have the JSON type object, not string"},
		{"text twice", `{"child":{"name":"a","name":"a"}}`, "the field child.name occurs twice: send it once"},
		{"child twice", `{"child":{},"child":{}}`, "the field child occurs twice: send it once"},
		{"list twice", `{"items":[{}],"items":[{}]}`, "the field items occurs twice: send it once"},
		{"pair twice", `{"pairs":{"a":"1","a":"2"}}`, "the field pairs.a occurs twice: send it once"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode(tt.text)
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeIgnoresBracketsInStrings(t *testing.T) {
	text := fmt.Sprintf(`{"name":"a","x":%q}`, strings.Repeat(`[{\"`, MaxDepth))
	if got, err := decode(text); err != nil || got.Name != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestListsReserveTheirMemory(t *testing.T) {
	text := []byte(`{"items":[` + strings.Repeat("{},", 1000) + `{}]}`)
	for _, tt := range []struct {
		bytes int64
		want  error
	}{{1 << 20, nil}, {1 << 10, errBudget}} {
		var d Decoder
		var i item
		memory := &budget{tt.bytes}
		if err := d.Decode(text, memory, i.decode); !errors.Is(err, tt.want) {
			t.Errorf("with %d bytes: error %v, want %v", tt.bytes, err, tt.want)
		}
		if tt.want == nil && tt.bytes-memory.bytes < 1001*64 {
			t.Errorf("reserved only %d bytes", tt.bytes-memory.bytes)
		}
	}
}

func TestDecoderCanBeUsedAgain(t *testing.T) {
	var d Decoder
	for _, text := range []string{`{"name":"a"}`, `{"child":{"name":7}}`, `[[[`, `{"name":"b"}`} {
		var i item
		err := d.Decode([]byte(text), &budget{1 << 20}, i.decode)
		if valid := strings.HasPrefix(text, `{"name"`); valid != (err == nil) {
			t.Errorf("%s: %+v, %v", text, i, err)
		}
	}
}

func TestEachReadsAListWithoutMemory(t *testing.T) {
	for _, tt := range []struct{ text, want, err string }{
		{`null`, ``, ``},
		{`[]`, ``, ``},
		{`["a"]`, `a`, ``},
		{` [ "a" , null , "c" ] `, `a,,c`, ``},
		{`[` + strings.Repeat(`"a",`, 9) + `"a"]`, strings.Repeat(`a,`, 9) + `a`, ``},
		{`["a",7]`, `a`, `the text must have the JSON type string, not number`},
		{`{"a":1}`, ``, `the text must have the JSON type array, not object`},
		{`["a"`, `a`, `unexpected end`},
		{`["a",]`, `a`, `unexpected byte ']' at 5`},
		{`["a"]]`, `a`, `unexpected byte ']' at 5`},
	} {
		var got []string
		var d Decoder
		err := d.Decode([]byte(tt.text), nil, func(d *Decoder) error {
			return d.Each(func() error {
				var value string
				err := d.Text(&value)
				if err == nil {
					got = append(got, value)
				}
				return err
			})
		})
		if err == nil {
			err = errors.New("")
		}
		if strings.Join(got, ",") != tt.want || err.Error() != tt.err {
			t.Errorf("%s: got %q with error %q, want %q with %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}
