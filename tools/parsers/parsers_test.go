package parsers

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// recorded returns a review that a real API server sent, on one line.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	indented, err := os.ReadFile("../../webhook/admission/testdata/reviews/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, indented); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func TestParsersAgreeOnARecordedReview(t *testing.T) {
	text := recorded(t, "pod-create-3-containers")
	want, err := parsers[0].decode(text)
	if err != nil || len(want) != 3 {
		t.Fatalf("%d containers: %v", len(want), err)
	}
	for _, p := range parsers {
		if got, err := p.decode(text); err != nil || !slices.Equal(want, got) {
			t.Errorf("%s: got %v, %v, want %v", p.name, got, err, want)
		}
	}
}

// unusual are texts that the API server does not send. Each is a container, or a field that
// comes before the containers.
var unusual = []struct {
	name, before, container string
	accepted                map[string]string // the images of the parsers that accept it
}{
	{"a number with a leading zero", `"x":01,`, `"image":"a"`, map[string]string{"fastjson": "a"}},
	{"a control character in a skipped string", `"x":"` + "\x01" + `",`, `"image":"a"`, map[string]string{"fastjson": "a", "sonic": "a"}},
	{"an unknown escape in a skipped string", `"x":"\q",`, `"image":"a"`, map[string]string{"fastjson": "a", "sonic": "a"}},
	{"two equal keys", "", `"image":"a","image":"b"`, map[string]string{
		"encoding/json": "b", "go-json-experiment-lax": "b", "segmentio": "b", "sonic": "b", "goccy": "b", "fastjson": "a", "gjson": "a", "jx": "b",
	}},
	{"a key in another case", "", `"Image":"b"`, map[string]string{
		"encoding/json": "b", "segmentio": "b", "sonic": "b", "goccy": "b",
		"go-json-experiment": "", "go-json-experiment-lax": "", "fastjson": "", "gjson": "", "jx": "", "jsonfields": "",
	}},
	{"400 levels", `"x":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + ",", `"image":"a"`, map[string]string{
		"encoding/json": "a", "go-json-experiment": "a", "go-json-experiment-lax": "a", "segmentio": "a", "sonic": "a", "goccy": "a", "gjson": "a", "jx": "a",
	}},
	{"20,000 levels", `"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + ",", `"image":"a"`, map[string]string{
		"segmentio": "a", "gjson": "a",
	}},
	{"bytes that are not UTF-8", "", `"image":"` + "\xff" + `"`, map[string]string{
		"encoding/json": "\ufffd", "go-json-experiment-lax": "\ufffd", "segmentio": "\ufffd", "goccy": "\ufffd",
		"sonic": "\xff", "fastjson": "\xff", "gjson": "\xff", "jx": "\xff", "jsonfields": "\xff",
	}},
}

func TestParsersTreatUnusualTexts(t *testing.T) {
	for _, tt := range unusual {
		text := []byte(`{"request":{"object":{"spec":{` + tt.before + `"containers":[{` + tt.container + `}]}}}}`)
		for _, p := range parsers {
			want, accepts := tt.accepted[p.name]
			got, err := p.decode(text)
			if accepts != (err == nil) {
				t.Errorf("%s: %s: accepted %v (%v), want %v", tt.name, p.name, err == nil, err, accepts)
			} else if accepts && got[0].Image != want {
				t.Errorf("%s: %s: image %q, want %q", tt.name, p.name, got[0].Image, want)
			}
		}
	}
}

func BenchmarkParsers(b *testing.B) {
	for _, name := range []string{"pod-create-3-containers", "pod-update-60-containers"} {
		text := recorded(b, name)
		for _, p := range parsers {
			b.Run(name+"/"+p.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.decode(text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
