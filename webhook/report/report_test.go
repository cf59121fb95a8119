package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

var (
	noTag = Violation{
		Rule:   "no_tag",
		Reason: `no tag means tag "latest", which is not allowed because its image can change`,
		Remedy: "use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)",
	}
	foreign = Violation{Rule: "registry", Reason: "its registry is not allowed", Remedy: "use an image of hub.example"}
	web     = Image{
		Place: Place{"deploy/web.yaml", 2, 21, 16}, Object: "deployment/web", Namespace: "shop",
		Field: "spec.template.spec.containers[0].image", Holder: `container "web"`,
		Image: "nginx", Mirrored: "hub.example/library/nginx", Violations: []Violation{noTag},
	}
	sidecar = Image{
		Place: Place{"deploy/web.yaml", 2, 23, 16}, Object: "deployment/web", Namespace: "shop",
		Field: "spec.template.spec.containers[1].image", Holder: `container "log"`, Image: "quay.example/log:1.0",
	}
	fixed = Image{
		Place: Place{"pod.yaml", 1, 7, 12}, Object: "pod/cache", Field: "spec.containers[0].image",
		Image: "redis:7.4", Mirrored: "hub.example/library/redis:7.4", Fixed: true,
	}
	backup = Image{
		Place: Place{File: "-", Document: 3}, Object: "backup/nightly", Field: "spec.image",
		Image: "quay.example/backup", Violations: []Violation{foreign, noTag},
	}
	broken  = Problem{Place{"deploy/web.yaml", 3, 40, 2}, "invalid YAML: found a tab: indent with spaces"}
	offline = Problem{Message: "cannot ask hub.example: no such host: check the name"}
	missing = Missing{web.Place, "docker.io/library/nginx:latest", "hub.example/library/nginx"}
	summary = Summary{Files: 3, Objects: 3, Images: 4, Violations: 2, Missing: 1, Fixed: 1, Problems: 2}
)

// write writes findings in a format.
func write(t *testing.T, format string, color bool, findings ...any) string {
	t.Helper()
	var out bytes.Buffer
	w, err := New(format, "v1.2.3", &out, color)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAll(w, findings...); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// writeAll writes findings, and the summary of the type Summary at the end.
func writeAll(w Writer, findings ...any) error {
	var end Summary
	for _, finding := range findings {
		var err error
		switch f := finding.(type) {
		case Image:
			err = w.Image(f)
		case Problem:
			err = w.Problem(f)
		case Missing:
			err = w.Missing(f)
		case Summary:
			end = f
		}
		if err != nil {
			return err
		}
	}
	return w.Close(end)
}

// everything is a finding of each kind.
var everything = []any{web, sidecar, broken, fixed, backup, offline, missing, summary}

func TestFormats(t *testing.T) {
	for format, want := range map[string]string{
		"text": `deploy/web.yaml:21:16: deployment/web: spec.template.spec.containers[0].image: image "nginx" (mirrored to "hub.example/library/nginx"): no tag means tag "latest", which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)
deploy/web.yaml:40:2: error: invalid YAML: found a tab: indent with spaces
pod.yaml:7:12: pod/cache: spec.containers[0].image: fixed: "redis:7.4" -> "hub.example/library/redis:7.4"
<stdin>: document 3: backup/nightly: spec.image: image "quay.example/backup": its registry is not allowed: use an image of hub.example
<stdin>: document 3: backup/nightly: spec.image: image "quay.example/backup": no tag means tag "latest", which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)
error: cannot ask hub.example: no such host: check the name
missing docker.io/library/nginx:latest hub.example/library/nginx
checked 4 images in 3 files: 2 are not allowed, 1 was fixed, 1 is missing on its mirror; incomplete because of 2 errors
`,
		"json": `{
"images": [
{"file":"deploy/web.yaml","document":2,"line":21,"column":16,"object":"deployment/web","namespace":"shop","field":"spec.template.spec.containers[0].image","image":"nginx","mirrored":"hub.example/library/nginx","violations":[{"rule":"no_tag","reason":"no tag means tag \"latest\", which is not allowed because its image can change","remedy":"use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)"}]},
{"file":"deploy/web.yaml","document":2,"line":23,"column":16,"object":"deployment/web","namespace":"shop","field":"spec.template.spec.containers[1].image","image":"quay.example/log:1.0","violations":[]},
{"file":"pod.yaml","document":1,"line":7,"column":12,"object":"pod/cache","field":"spec.containers[0].image","image":"redis:7.4","mirrored":"hub.example/library/redis:7.4","fixed":true,"violations":[]},
{"file":"-","document":3,"object":"backup/nightly","field":"spec.image","image":"quay.example/backup","violations":[{"rule":"registry","reason":"its registry is not allowed","remedy":"use an image of hub.example"},{"rule":"no_tag","reason":"no tag means tag \"latest\", which is not allowed because its image can change","remedy":"use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)"}]}
],
"missing": [
{"file":"deploy/web.yaml","document":2,"line":21,"column":16,"from":"docker.io/library/nginx:latest","to":"hub.example/library/nginx"}
],
"problems": [
{"file":"deploy/web.yaml","document":3,"line":40,"column":2,"message":"invalid YAML: found a tab: indent with spaces"},
{"file":"","message":"cannot ask hub.example: no such host: check the name"}
],
"summary": {"files":3,"objects":3,"images":4,"violations":2,"missing":1,"fixed":1,"problems":2}
}
`,
		"github": `::error file=deploy/web.yaml,line=21,col=16,title=image not allowed::deployment/web: container "web" uses image "nginx" (mirrored to "hub.example/library/nginx"): no tag means tag "latest", which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)
::error file=deploy/web.yaml,line=40,col=2,title=incomplete check::invalid YAML: found a tab: indent with spaces
::notice file=pod.yaml,line=7,col=12,title=image fixed::pod/cache: spec.containers[0].image: fixed: "redis:7.4" -> "hub.example/library/redis:7.4"
::error title=image not allowed::backup/nightly: spec.image: image "quay.example/backup": its registry is not allowed: use an image of hub.example
::error title=image not allowed::backup/nightly: spec.image: image "quay.example/backup": no tag means tag "latest", which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)
::error title=incomplete check::cannot ask hub.example: no such host: check the name
::error file=deploy/web.yaml,line=21,col=16,title=image missing on its mirror::image "docker.io/library/nginx:latest" is missing on its mirror: copy it to "hub.example/library/nginx"
checked 4 images in 3 files: 2 are not allowed, 1 was fixed, 1 is missing on its mirror; incomplete because of 2 errors
`,
		"junit": `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="image-webhook">
  <testsuite name="deploy/web.yaml" tests="3" failures="1" errors="1">
    <testcase classname="shop/deployment/web" name="spec.template.spec.containers[0].image (deploy/web.yaml)" file="deploy/web.yaml">
      <failure message="image &#34;nginx&#34; (mirrored to &#34;hub.example/library/nginx&#34;): no tag means tag &#34;latest&#34;, which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)" type="no_tag">deploy/web.yaml:21:16: deployment/web: container &#34;web&#34; uses image &#34;nginx&#34; (mirrored to &#34;hub.example/library/nginx&#34;): no tag means tag &#34;latest&#34;, which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)</failure>
    </testcase>
    <testcase classname="shop/deployment/web" name="spec.template.spec.containers[1].image (deploy/web.yaml)" file="deploy/web.yaml"></testcase>
    <testcase classname="check" name="error (deploy/web.yaml)" file="deploy/web.yaml">
      <error message="invalid YAML: found a tab: indent with spaces" type="error">deploy/web.yaml:40:2: invalid YAML: found a tab: indent with spaces</error>
    </testcase>
  </testsuite>
  <testsuite name="pod.yaml" tests="1" failures="0" errors="0">
    <testcase classname="pod/cache" name="spec.containers[0].image (pod.yaml)" file="pod.yaml"></testcase>
  </testsuite>
  <testsuite name="&lt;stdin&gt;" tests="1" failures="1" errors="0">
    <testcase classname="backup/nightly" name="spec.image (&lt;stdin&gt;)">
      <failure message="image &#34;quay.example/backup&#34;: its registry is not allowed: use an image of hub.example; no tag means tag &#34;latest&#34;, which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)" type="registry">&lt;stdin&gt;: document 3: backup/nightly: spec.image: image &#34;quay.example/backup&#34;: its registry is not allowed: use an image of hub.example&#xA;&lt;stdin&gt;: document 3: backup/nightly: spec.image: image &#34;quay.example/backup&#34;: no tag means tag &#34;latest&#34;, which is not allowed because its image can change: use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)</failure>
    </testcase>
  </testsuite>
  <testsuite name="mirrors" tests="2" failures="1" errors="1">
    <testcase classname="check" name="error">
      <error message="cannot ask hub.example: no such host: check the name" type="error">cannot ask hub.example: no such host: check the name</error>
    </testcase>
    <testcase classname="mirrors" name="hub.example/library/nginx" file="deploy/web.yaml">
      <failure message="image &#34;docker.io/library/nginx:latest&#34; is missing on its mirror: copy it to &#34;hub.example/library/nginx&#34;" type="missing_image">missing docker.io/library/nginx:latest hub.example/library/nginx</failure>
    </testcase>
  </testsuite>
</testsuites>
`,
	} {
		if diff := cmp.Diff(want, write(t, format, false, everything...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestFormatsWithoutFindings(t *testing.T) {
	for format, want := range map[string]string{
		"text":   "found no images in 2 files\n",
		"json":   "{\n\"images\": [],\n\"missing\": [],\n\"problems\": [],\n\"summary\": {\"files\":2,\"objects\":0,\"images\":0,\"violations\":0,\"problems\":0}\n}\n",
		"github": "found no images in 2 files\n",
		"junit":  xml.Header + "<testsuites name=\"image-webhook\">\n</testsuites>\n",
	} {
		if diff := cmp.Diff(want, write(t, format, false, Summary{Files: 2})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestInvalidFormat(t *testing.T) {
	_, err := New("xml", "", io.Discard, false)
	want := `invalid format "xml": use text, json, sarif, github or junit`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, format := range Formats {
		if _, err := New(format, "", io.Discard, false); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyTextHasColors(t *testing.T) {
	for _, format := range Formats {
		colored := write(t, format, true, everything...)
		if has := strings.Contains(colored, "\033["); has != (format == "text") {
			t.Errorf("%s has colors: %t", format, has)
		}
	}
	plain := write(t, "text", true, everything...)
	for _, sequence := range []string{bold, red, green, yellow, reset} {
		plain = strings.ReplaceAll(plain, sequence, "")
	}
	if diff := cmp.Diff(write(t, "text", false, everything...), plain); diff != "" {
		t.Errorf("colors change the text:\n%s", diff)
	}
}

func TestSummary(t *testing.T) {
	for want, s := range map[string]Summary{
		"found no images in 0 files":                               {},
		"found no images in 1 file; incomplete because of 1 error": {Files: 1, Problems: 1},
		"checked 1 image in 1 file: 1 is allowed":                  {Files: 1, Images: 1},
		"checked 2 images in 1 file: 2 are allowed":                {Files: 1, Images: 2},
		"checked 2 images in 2 files: 1 is not allowed":            {Files: 2, Images: 2, Violations: 1},
		"checked 2 images in 2 files: 2 are allowed, 2 were fixed": {Files: 2, Images: 2, Fixed: 2},
		"checked 2 images in 1 file: 2 are allowed, 2 are missing on their mirrors; incomplete because of 3 errors": {
			Files: 1, Images: 2, Missing: 2, Problems: 3},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// hostile returns findings with a text in each of their fields.
func hostile(text string) []any {
	place := Place{File: text, Line: 1, Column: 1}
	broken := Violation{Rule: "denied_image", Reason: text, Remedy: text}
	return []any{
		Image{place, text, text, text, text, text, text, true, []Violation{broken}},
		Image{Place: Place{File: "-" + text}, Image: text, Mirrored: text, Violations: []Violation{broken, broken}},
		Problem{place, text}, Missing{place, text, text}, Summary{Files: 1, Images: 2, Violations: 2, Problems: 1, Missing: 1},
	}
}

// hostileTexts try to control a terminal, to break out of a field or to exhaust memory.
var hostileTexts = []string{
	"\x1b[2J", "\u009b2J", "a\r\nb", "\x00\x7f", "\u202egpj\u2066", "\u200b", "\xff\xfe", "\ufffe", "\U000e0041", "]]>",
	"%0A::error::x", "::add-mask::x", "a,file=b:c", `"><x/>&#0;`, `\u0000`, "\t", "\u2028", strings.Repeat("x", 1<<16),
}

func TestTextsOfManifestsControlNothing(t *testing.T) {
	for _, text := range hostileTexts {
		reference := map[string]int{}
		for _, format := range Formats {
			reference[format] = strings.Count(write(t, format, false, hostile("x")...), "\n")
		}
		for _, format := range Formats {
			got := write(t, format, false, hostile(text)...)
			for line := range strings.Lines(got) {
				if line = strings.TrimSuffix(line, "\n"); !terminaltext.IsClean(line) {
					t.Errorf("%s: %q is not escaped in %q", format, text, line)
				}
			}
			if lines := strings.Count(got, "\n"); lines != reference[format] {
				t.Errorf("%s: %q has %d lines, want %d", format, text, lines, reference[format])
			}
		}
	}
}

func TestJSONKeepsTexts(t *testing.T) {
	for _, text := range hostileTexts {
		var got struct{ Images []Image }
		if err := json.Unmarshal([]byte(write(t, "json", false, Image{Image: text})), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		want := strings.ToValidUTF8(text, "\ufffd\ufffd") // one for each byte of the only invalid text
		if got.Images[0].Image != want {
			t.Errorf("%q becomes %q", text, got.Images[0].Image)
		}
	}
}

func TestJUnitIsXML(t *testing.T) {
	for _, text := range hostileTexts {
		var got struct {
			Suites []struct {
				Tests    int `xml:"tests,attr"`
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
				Cases    []struct {
					Failures []struct{} `xml:"failure"`
					Errors   []struct{} `xml:"error"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal([]byte(write(t, "junit", false, hostile(text)...)), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, suite := range got.Suites {
			failures, errs := 0, 0
			for _, c := range suite.Cases {
				failures, errs = failures+len(c.Failures), errs+len(c.Errors)
			}
			if suite.Tests != len(suite.Cases) || suite.Failures != failures || suite.Errors != errs {
				t.Errorf("%q: wrong counts: %+v", text, suite)
			}
		}
	}
}

func TestJUnitNamesAreUnique(t *testing.T) {
	again := web
	again.Line += 10
	other := web
	other.File = "deploy/other.yaml"
	var got struct {
		Cases []struct {
			Class string `xml:"classname,attr"`
			Name  string `xml:"name,attr"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal([]byte(write(t, "junit", false, web, again, broken, broken, other)), &got); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range got.Cases {
		names[c.Class+" "+c.Name] = true
	}
	if len(names) != 5 {
		t.Errorf("5 cases have %d names: %v", len(names), names)
	}
}

func TestGitHubEscapes(t *testing.T) {
	got := write(t, "github", false, Problem{Place{"a,b:c%.yaml", 0, 3, 0}, "100%: a, b"}, Summary{Files: 1})
	want := "::error file=a%2Cb%3Ac%25.yaml,line=3,title=incomplete check::100%25: a, b\nfound no images in 1 file\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// sarif is what the tests read of a SARIF log. tools/checks/sarif validates whole logs.
type sarif struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct{ ID string }
			}
		}
		Results []struct {
			RuleID       string
			RuleIndex    int
			Message      struct{ Text string }
			Fingerprints map[string]string `json:"partialFingerprints"`
			Locations    []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine, StartColumn int }
				}
				LogicalLocations []struct{ FullyQualifiedName string }
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct {
				Level   string
				Message struct{ Text string }
			}
		}
	}
}

func readSARIF(t *testing.T, text string) (log sarif) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return log
}

func TestSARIFResults(t *testing.T) {
	run := readSARIF(t, write(t, "sarif", false, everything...)).Runs[0]
	var got []string
	for _, r := range run.Results {
		if id := run.Tool.Driver.Rules[r.RuleIndex].ID; id != r.RuleID {
			t.Errorf("the index of rule %s is that of %s", r.RuleID, id)
		}
		p := r.Locations[0].PhysicalLocation
		line := fmt.Sprintf("%s %s %d:%d", r.RuleID, p.ArtifactLocation.URI, p.Region.StartLine, p.Region.StartColumn)
		for _, logical := range r.Locations[0].LogicalLocations {
			line += " " + logical.FullyQualifiedName
		}
		got = append(got, line)
	}
	want := []string{
		"no_tag deploy/web.yaml 21:16 shop/deployment/web shop/deployment/web/spec.template.spec.containers[0].image",
		"registry stdin 0:0 backup/nightly backup/nightly/spec.image",
		"no_tag stdin 0:0 backup/nightly backup/nightly/spec.image",
		"missing_image deploy/web.yaml 21:16",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	invocation := run.Invocations[0]
	if invocation.ExecutionSuccessful || len(invocation.ToolExecutionNotifications) != 2 {
		t.Errorf("got %+v, want the two problems", invocation)
	}
}

func TestSARIFHasNoLinksOfManifests(t *testing.T) {
	const link = "[click](https://other.example)"
	run := readSARIF(t, write(t, "sarif", false, hostile(link)...)).Runs[0]
	for _, r := range run.Results {
		if strings.Contains(r.Message.Text, "](") {
			t.Errorf("%s has a link", r.Message.Text)
		}
	}
	if text := run.Invocations[0].ToolExecutionNotifications[0].Message.Text; text != "[click] (https://other.example)" {
		t.Errorf("got the notification %s", text)
	}
}

func TestSARIFHasRulesOfPackageImage(t *testing.T) {
	for i := range image.Rules {
		if got, want := sarifRules[i].ID, image.Rule(i).String(); got != want {
			t.Errorf("rule %d is %s, want %s", i, got, want)
		}
	}
	if len(sarifRules) != image.Rules+1 {
		t.Errorf("there are %d rules, want those of package image and %s", len(sarifRules), ruleMissing)
	}
}

func TestSARIFFingerprintsAreStable(t *testing.T) {
	fingerprints := func(findings ...any) (all []string) {
		for _, r := range readSARIF(t, write(t, "sarif", false, findings...)).Runs[0].Results {
			all = append(all, r.Fingerprints["imageUse/v1"])
		}
		return all
	}
	moved := web
	moved.Line, moved.Document = 99, 7
	other := web
	other.Image = "redis"
	got := fingerprints(web, moved, other, backup)
	if diff := cmp.Diff(fingerprints(moved)[0], got[0]); diff != "" {
		t.Errorf("another line changes the fingerprint: %s", diff)
	}
	seen := map[string]bool{}
	for _, fingerprint := range got {
		seen[fingerprint] = true
	}
	if len(seen) != 5 {
		t.Errorf("5 results have %d fingerprints: %v", len(seen), got)
	}
}

func TestSARIFLimitsResults(t *testing.T) {
	findings := make([]any, maxResults+3)
	for i := range findings {
		findings[i] = sidecar
		if i > 0 {
			findings[i] = Image{Place: Place{"a.yaml", 1, i, 1}, Image: "a", Violations: []Violation{noTag}}
		}
	}
	run := readSARIF(t, write(t, "sarif", false, append(findings, missing)...)).Runs[0]
	if len(run.Results) != maxResults {
		t.Errorf("got %d results, want %d", len(run.Results), maxResults)
	}
	want := "omitted 3 more results: code scanning accepts at most 25000: check fewer files in each run"
	invocation := run.Invocations[0]
	if !invocation.ExecutionSuccessful || invocation.ToolExecutionNotifications[0].Message.Text != want {
		t.Errorf("got %+v, want %s", invocation, want)
	}
}

func TestArtifactURI(t *testing.T) {
	for file, want := range map[string]string{
		"deploy/web.yaml": "deploy/web.yaml",
		"./a b/ä#1?.yaml": "a%20b/%C3%A4%231%3F.yaml",
		"../up.yaml":      "../up.yaml",
		"/srv/a b.yaml":   "file:///srv/a%20b.yaml",
		"a:b.yaml":        "./a:b.yaml",
		"100%.yaml":       "100%25.yaml",
		"bad\xff\n.yaml":  "bad%FF%0A.yaml",
		"-":               "stdin",
		`back\slash.yaml`: "back%5Cslash.yaml", // on Linux, a backslash is part of a name
	} {
		if got := artifactURI(file); got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}

// full is a disk without space.
type full struct{ left int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorsAreReturned(t *testing.T) {
	for _, format := range Formats {
		size := len(write(t, format, false, everything...))
		for left := range size {
			w, err := New(format, "v1.2.3", &full{left}, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := writeAll(w, everything...); !errors.Is(err, errFull) {
				t.Fatalf("%s: %d bytes of %d fit: got error %v", format, left, size, err)
			}
		}
	}
}
