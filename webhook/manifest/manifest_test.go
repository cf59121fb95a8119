package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// describe returns the objects of a stream with the places of their images, and the errors.
func describe(t *testing.T, text string) (lines []string) {
	t.Helper()
	err := Split(strings.NewReader(text), func(d *Document) bool {
		objects, err := d.Objects()
		if err != nil {
			lines = append(lines, describeError(t, d, err))
		}
		for _, o := range objects {
			lines = append(lines, fmt.Sprintf("%d: %s %s/%s", d.Number, o.Kind.Kind, o.Namespace, o.Name))
			decoded, err := o.Decode()
			if err != nil {
				lines = append(lines, describeError(t, d, err))
				continue
			}
			for img := range (podimages.Images{Kind: o.Kind, Object: decoded}).Each {
				value, found := o.Find(string(img.AppendPointer(nil)))
				lines = append(lines, fmt.Sprintf("%d: %d:%d %s %t", d.Number, value.Line, value.Column, img.Reference, found && value.Text == img.Reference))
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func describeError(t *testing.T, d *Document, err error) string {
	t.Helper()
	place := new(Error)
	if !errors.As(err, &place) {
		t.Fatalf("the error %v has no place", err)
	}
	return fmt.Sprintf("%d: %d:%d error: %v", d.Number, place.Line, place.Column, err)
}

const pod = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop}
spec:
  containers:
  - {name: one, image: nginx:1}
`

func TestObjectsHaveTheirPlaces(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"one document", pod, []string{"1: Pod shop/a", "1: 6:24 nginx:1 true"}},
		{"empty documents", "# comment\n---\n\n---\n...\n---\n" + pod, []string{"1: Pod shop/a", "1: 12:24 nginx:1 true"}},
		{"a comment after the separator", "--- # Source: chart\n" + pod, []string{"1: Pod shop/a", "1: 7:24 nginx:1 true"}},
		{"content after the separator", "--- {apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}", []string{"1: Pod /", "1: 1:61 a true"}},
		{"a directive", "%YAML 1.1\n---\n" + pod, []string{"1: Pod shop/a", "1: 8:24 nginx:1 true"}},
		{"a byte order mark", "\ufeff" + pod, []string{"1: Pod shop/a", "1: 6:24 nginx:1 true"}},
		{"Windows line ends", strings.ReplaceAll(pod, "\n", "\r\n"), []string{"1: Pod shop/a", "1: 6:24 nginx:1 true"}},
		{"a separator in a block", "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    ---\n    b\n", []string{"1: ConfigMap /"}},
		{"values of a chart", "image: {repository: nginx}\n---\n- a\n---\ntext\n", nil},
		{"a generated name", "{apiVersion: v1, kind: Pod, metadata: {generateName: a-}}", []string{"1: Pod /a-"}},
		{
			"JSON with tabs", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"spec\": {\"containers\": [{\"image\": \"\\u006eginx\"}]}\n}",
			[]string{"1: Pod /", "1: 3:51 nginx true"},
		},
		{
			"JSON values in turn", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\ud83d\ude00"}}` + "\n\n" + `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}]}} {"a":1}`,
			[]string{"1: Pod /\U0001F600", "2: Pod /", "2: 3:64 a true"},
		},
		{
			"a List", "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(pod), "\n", "\n  ") + "\n- {apiVersion: apps/v1, kind: DaemonSet}\n",
			[]string{"1: Pod shop/a", "1: 9:26 nginx:1 true", "1: DaemonSet /"},
		},
		{
			"a list of one kind", "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- {metadata: {name: a}, spec: {template: {spec: {containers: [{image: b}]}}}}\n",
			[]string{"1: Deployment /a", "1: 4:71 b true"},
		},
		{
			"anchors and merge keys", "apiVersion: v1\nkind: Pod\nx: &c {name: a, image: one}\nspec:\n  containers:\n  - *c\n  - {<<: *c, name: b}\n  - {<<: [*c, {image: two}]}\n  - {<<: *c, image: three}\n",
			[]string{"1: Pod /", "1: 3:24 one true", "1: 3:24 one true", "1: 3:24 one true", "1: 9:21 three true"},
		},
		{"a comment before another line break", "# a\rapiVersion: v1\rkind: Pod\r\n--- # b\u2028{apiVersion: v1, kind: Pod}", []string{"1: Pod /", "2: Pod /"}},
		{
			"tags that kubectl ignores or decodes", "apiVersion: !a v1\nkind: !!binary UG9k\nspec: !b\n  !!binary Y29udGFpbmVycw==: !c\n  - image: !d nginx\n  - image: !!binary bmdpbng=\n",
			[]string{"1: Pod /", "1: 5:12 nginx true", "1: 6:12 nginx true"},
		},
		{"a tag that merges nothing", "apiVersion: v1\nkind: Pod\n!!merge spec: {containers: [{image: a}]}\n", []string{"1: Pod /", "1: 3:37 a true"}},
		{
			"items without the kind List", "apiVersion: v1\nkind: ConfigMap\nitems:\n- {apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}\n",
			[]string{"1: Pod /", "1: 4:59 a true"},
		},
		{"a List without a version", "kind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n", []string{"1: Pod /"}},
		{
			"items with empty kinds", "apiVersion: v1\nkind: PodList\nitems:\n- {kind: '', spec: {containers: [{image: a}]}}\n- {apiVersion: null, kind: null, spec: {containers: [{image: b}]}}\n",
			[]string{"1: Pod /", "1: 4:42 a true", "1: Pod /", "1: 5:62 b true"},
		},
		{"block text", "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: >-\n      nginx\n", []string{"1: Pod /", "1: 5:12 nginx true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, describe(t, tt.text)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// laughs is a document whose aliases expand it to 9^8 values.
func laughs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 7 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	return b.String()
}

func TestInvalidDocuments(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"broken YAML", "a: [\n---\nkind: 'x\n", []string{
			"1: 1:0 error: invalid YAML: did not find expected node content: check the quotes and the indentation near this line",
			"2: 3:0 error: invalid YAML: found unexpected end of stream: check the quotes and the indentation near this line",
		}},
		{"the others are read", "a: [\n---\n" + pod, []string{
			"1: 1:0 error: invalid YAML: did not find expected node content: check the quotes and the indentation near this line",
			"2: Pod shop/a", "2: 8:24 nginx:1 true",
		}},
		{"tabs", "a: 1\n---\na:\n\tb: 1\n", []string{"2: 4:0 error: invalid YAML: found character that cannot start any token: indent with spaces instead of tabs"}},
		{"a template", "{{- if .Values.a }}\na: 1\n{{- end }}\n", []string{
			"1: 1:0 error: invalid YAML: did not find expected node content: render the template first, such as helm template . | kubectl image-webhook check -",
		}},
		{"broken JSON", "{\"a\": 1,\n \"b\" 2}", []string{"1: 2:6 error: invalid JSON: invalid character '2' after object key: check the commas and the quotes near this line"}},
		{"half of JSON", "{\"apiVersion\": \"v1\",\n", []string{"1: 2:1 error: invalid JSON: unexpected EOF: check the commas and the quotes near this line"}},
		{"binary", "a: \x00\n---\n" + pod, []string{"1: 1:0 error: not a text in UTF-8: convert the file, or do not name it", "2: Pod shop/a", "2: 8:24 nginx:1 true"}},
		{"not UTF-8", "a: \xff\n", []string{"1: 1:0 error: not a text in UTF-8: convert the file, or do not name it"}},
		{"a key twice", "a: 1\nb: 1\na: 2\n", []string{`1: 3:1 error: key "a" is also in line 1: remove one of them`}},
		{"a key twice in JSON", `{"a": 1, "\u0061": 2}`, []string{`1: 1:10 error: key "a" is also in line 1: remove one of them`}},
		{"a key twice among many", manyKeys(40) + "k3: 1\n", []string{`1: 41:1 error: key "k3" is also in line 3: remove one of them`}},
		{"laughs", laughs(), []string{"1: 7:10 error: aliases expand the document by more than 1000000 values: write the values out"}},
		{"an anchor in itself", "a: &a {b: *a}\n", []string{"1: 1:11 error: the anchor &a contains itself: write the values out"}},
		{"an unknown anchor", "a: *b\n", []string{"1: 1:0 error: invalid YAML: unknown anchor 'b' referenced: check the quotes and the indentation near this line"}},
		{"deep", strings.Repeat("[", 300) + strings.Repeat("]", 300), []string{"1: 1:202 error: nested deeper than 200 levels: check the indentation"}},
		{"a key that is a list", "? [a]\n: 1\n", []string{"1: 1:3 error: a key that is not text: write it as text"}},
		{"a merged text", "a: &a x\nb: {<<: *a}\n", []string{"1: 2:9 error: the value of << is not a mapping: merge only mappings"}},
		{"a key before a merge that replaces it", "a: &a {image: b}\nc: {image: d, <<: *a}\n", []string{`1: 2:5 error: key "image" is also in the mapping that << merges after it: write << first`}},
		{"a key before merges that replace it", "a: &a {<<: {x: 1}}\nb: {x: 2, <<: [{y: 1}, *a]}\n", []string{`1: 2:5 error: key "x" is also in the mapping that << merges after it: write << first`}},
		{"binary text that is invalid", "a: !!binary x\n", []string{"1: 1:4 error: invalid base64 after !!binary: correct it"}},
		{"a byte order mark in the middle", "a: 1\n---\n\ufeff" + pod, []string{`2: 3:1 error: a byte order mark before key "apiVersion": remove it`}},
		{"two byte order marks", "\ufeff\ufeff" + pod, []string{"1: 1:1 error: a byte order mark inside of the file: remove it"}},
		{"a byte order mark before JSON", "a: 1\n---\n\ufeff{\"kind\":\"Pod\"}", []string{`2: 3:1 error: a byte order mark inside of the file: remove it`}},
		{"a space that is not of JSON", "\u00a0{\"kind\":\"Pod\"}", []string{"1: 1:1 error: invalid JSON: invalid character 'Â' looking for beginning of value: check the commas and the quotes near this line"}},
		{"deep JSON", `{"a":` + strings.Repeat("[", 20_000), []string{"1: 1:206 error: nested deeper than 200 levels: check the brackets"}},
		{"long text that aliases repeat", "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 100) + "]\n", []string{"1: 2:188 error: aliases expand the document by more than 1000000 values: write the values out"}},
		{"two documents without a separator", "a: 1\u2028---\u2028b: 2\n", []string{"1: 2:1 error: a second document without the separator ---: add it"}},
		{"an image that is a number", strings.Replace(pod, "nginx:1", "1.25", 1), []string{
			"1: Pod shop/a", "1: 6:24 error: the field spec.containers.image must have the JSON type string, not number: the API server refuses the object",
		}},
		{"containers that are a mapping", "{apiVersion: v1, kind: Pod, spec: {containers: {a: 1}}}", []string{
			"1: Pod /", "1: 1:48 error: the field spec.containers must have the JSON type array, not object: the API server refuses the object",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, describe(t, tt.text)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: %d\n", i+1, i)
	}
	return b.String()
}

func TestTooLargeDocumentIsSkipped(t *testing.T) {
	text := "a: 1\n---\nb: " + strings.Repeat("x", MaxDocument) + "\n---\n" + pod
	want := []string{
		"2: 2:0 error: the document is larger than 32 MiB: split it, or check running pods with audit",
		"3: Pod shop/a", "3: 10:24 nginx:1 true",
	}
	if diff := cmp.Diff(want, describe(t, text)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// replaceAll gives every text value of a stream that can be replaced another text, and returns the new
// stream and the number of edits.
func replaceAll(t *testing.T, text, value string) (string, int) {
	t.Helper()
	var edits []Edit
	err := Split(strings.NewReader(text), func(d *Document) bool {
		objects, _ := d.Objects()
		for _, o := range objects {
			decoded, err := o.Decode()
			if err != nil {
				continue
			}
			for img := range (podimages.Images{Kind: o.Kind, Object: decoded}).Each {
				found, ok := o.Find(string(img.AppendPointer(nil)))
				if !ok {
					continue
				}
				if edit, err := d.Replace(found, value); err == nil {
					edits = append(edits, edit)
				}
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Apply(&out, strings.NewReader(text), edits); err != nil {
		t.Fatal(err)
	}
	return out.String(), len(edits)
}

func TestReplaceChangesOnlyTheValue(t *testing.T) {
	const image = "m.example:5000/nginx:1"
	const six = "[::1]:5000/nginx:1"
	for _, tt := range []struct{ name, line, value, want string }{
		{"plain", "image: nginx # web", image, "image: " + image + " # web"},
		{"single quotes", "image:   'nginx'  ", image, "image:   '" + image + "'  "},
		{"double quotes", `image: "nginx"`, image, `image: "` + image + `"`},
		{"flow style", `{"image":nginx,name: ä}`, image, `{"image":` + image + `,name: ä}`},
		{"other characters before it", `{name: "äöü😀", image: nginx}`, image, `{name: "äöü😀", image: ` + image + `}`},
		{"an IPv6 address", "image: nginx", six, `image: "` + six + `"`},
		{"an IPv6 address in quotes", "image: 'nginx'", six, "image: '" + six + "'"},
		{"other line breaks before it", "x: \"\u2028\"\n    image: nginx\n#   image: nginx", image, "x: \"\u2028\"\n    image: " + image + "\n#   image: nginx"},
		{"a carriage return before it", "x: 1\r    image: nginx\r\n#   image: nginx", image, "x: 1\r    image: " + image + "\r\n#   image: nginx"},
		{"another line break in JSON", "{\"x\":\"\u2028\",\n\"image\":\"nginx\"}", image, "{\"x\":\"\u2028\",\n\"image\":\"" + image + "\"}"},
		{"an anchor stays", "image: &a nginx", image, "image: &a nginx"},
		{"a tag stays", "image: !!str nginx", image, "image: !!str nginx"},
		{"escapes stay", `image: "\u006eginx"`, image, `image: "\u006eginx"`},
		{"a block stays", "image: |-\n      nginx", image, "image: |-\n      nginx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const head = "# a\n---\n# b\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - "
			got, _ := replaceAll(t, head+tt.line+"\n", tt.value)
			if diff := cmp.Diff(head+tt.want+"\n", got); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzReplace checks that a replaced image is the only difference: the new text has the same objects with
// the new images, and has everything else byte for byte.
func FuzzReplace(f *testing.F) {
	f.Add(pod)
	f.Add("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"image\":\"a\"}]}}\n{}")
	f.Add("apiVersion: v1\nkind: Pod\nx: &c {name: a, image: 'one'}\nspec:\n  containers:\n  - *c\n  - {image: \"b\"}\n")
	const image = "mirror.example/x:1"
	f.Fuzz(func(t *testing.T, text string) {
		before := describe(t, text)
		after, edits := replaceAll(t, text, image)
		if edits == 0 {
			if after != text {
				t.Errorf("changed without an edit: %q", after)
			}
			return
		}
		if diff := cmp.Diff(withoutImages(before), withoutImages(describe(t, after))); diff != "" {
			t.Errorf("objects after the edit of %q (-before +after):\n%s", text, diff)
		}
		again, _ := replaceAll(t, after, image)
		if again != after {
			t.Errorf("%q changes again, to %q", after, again)
		}
	})
}

// withoutImages returns the lines of describe without the places and the names of images.
func withoutImages(lines []string) (reduced []string) {
	for _, line := range lines {
		if strings.HasSuffix(line, " true") || strings.HasSuffix(line, " false") {
			line = "image"
		}
		reduced = append(reduced, line)
	}
	return reduced
}

// FuzzObjects compares the images in a document with those that kubectl would send to the API server.
func FuzzObjects(f *testing.F) {
	f.Add([]byte(pod))
	f.Add([]byte("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"image\":\"a\"}]}}"))
	f.Add([]byte("apiVersion: v1\nkind: Pod\nx: &c {name: a, image: 'one'}\nspec:\n  containers:\n  - *c\n  - {<<: *c, image: \"b\"}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = Split(bytes.NewReader(text), func(d *Document) bool {
			objects, err := d.Objects()
			if err != nil || len(objects) != 1 || objects[0].Kind != podimages.Pod {
				return true
			}
			decoded, err := objects[0].Decode()
			if err != nil {
				return true
			}
			sent, err := yaml.YAMLToJSON(d.text)
			if err != nil {
				return true // kubectl refuses it
			}
			var pod podimages.Object
			var decoder jsonfields.Decoder
			if err := decoder.Decode(sent, jsonfields.Unlimited{}, pod.Decode); err != nil {
				return true // the API server refuses it
			}
			if diff := cmp.Diff(imagesOf(&pod), imagesOf(decoded)); diff != "" {
				t.Errorf("images of %q (-kubectl +check):\n%s", d.text, diff)
			}
			return true
		})
	})
}

func imagesOf(pod *podimages.Object) (images []string) {
	for img := range (podimages.Images{Kind: podimages.Pod, Object: pod}).Each {
		images = append(images, img.Field()+" "+img.Reference)
	}
	return images
}
