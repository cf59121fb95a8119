package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/webhook/admission"
)

// fileOf returns a file with n items in every list, except tags with an asterisk: there can be 100.
// without leaves out the rules that only a file can have.
func fileOf(n int, without bool) string {
	var file strings.Builder
	list := func(field string, n int, format string) {
		fmt.Fprintf(&file, "%s:\n", field)
		for i := range n {
			fmt.Fprintf(&file, "  - "+format+"\n", i)
		}
	}
	file.WriteString(header)
	list("mirrors", n, "{source: docker.io/team%[1]d, mirror: m.example/hub/team%[1]d}")
	list("disallowedTags", n, "tag-%d")
	if without {
		return file.String()
	}
	for i := range min(n, 100) {
		fmt.Fprintf(&file, "  - \"%d-dev-*\"\n", i)
	}
	list("exemptImages", n, "r%d.example/any")
	list("requireDigest", n, "r%d.example/prod")
	list("allowedRegistries", n, "r%d.example")
	file.WriteString("  - m.example\n")
	list("deniedImages", n, "{image: \"docker.io/team%[1]d/app:0.%[1]d\", reason: CVE}")
	for i := range n {
		fmt.Fprintf(&file, "  - {image: r%d.example/bad, reason: CVE}\n", i)
	}
	file.WriteString("imagePullSecrets: [mirror]\n")
	return file.String()
}

// image is a key with an image in a recorded review.
var imageKey = regexp.MustCompile(`"image":"[^"]*"`)

// recorded returns a recorded review whose images all have the same name.
func recorded(b *testing.B, name, image string) []byte {
	b.Helper()
	indented, err := os.ReadFile("../admission/testdata/reviews/" + name + ".json")
	if err != nil {
		b.Fatal(err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, indented); err != nil {
		b.Fatal(err)
	}
	return imageKey.ReplaceAll(body.Bytes(), []byte(`"image":"`+image+`"`))
}

// BenchmarkRules measures a review without HTTP: with the rules that flags have too, with every rule, and
// with 10,000 items in every list.
func BenchmarkRules(b *testing.B) {
	images := map[string]string{"/mutating": "docker.io/team0/app:1.25", "/validating": "m.example/hub/team0/app:1.25"}
	for _, path := range []string{"/validating", "/mutating"} {
		for _, name := range []string{"pod-create-1-container", "pod-create-3-containers", "pod-create-60-containers"} {
			body := recorded(b, name, images[path])
			for _, rules := range []struct{ name, file string }{
				{"flags", fileOf(1, true)}, {"all", fileOf(1, false)}, {"all×10000", fileOf(10_000, false)},
			} {
				b.Run(path[1:]+"/"+name+"/"+rules.name, func(b *testing.B) { benchmarkReview(b, path, rules.file, body) })
			}
		}
	}
}

func benchmarkReview(b *testing.B, path, file string, body []byte) {
	rules, err := read(file)
	if err != nil {
		b.Fatal(err)
	}
	h := admission.Handlers(admission.Reporting{Log: slog.New(slog.DiscardHandler)}, admission.Fixed(*rules))[path]
	content := bytes.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, path, io.NopCloser(content))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if answer := w.Body.String(); !strings.Contains(answer, `"allowed":true`) || (path == "/mutating") != strings.Contains(answer, `"patch":`) {
		b.Fatalf("answer %.300s", answer)
	}
	b.ReportAllocs()
	for b.Loop() {
		content.Reset(body)
		w.Body.Reset()
		h.ServeHTTP(w, r)
	}
}

// BenchmarkRead measures reading a file with 10,000 items in every list: 3 MB, more than a ConfigMap
// can have.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 1_000, 10_000} {
		file := fileOf(n, false)
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				if _, err := read(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
