package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/policy"
	"github.com/image-webhook/image-webhook/webhook/report"
)

// testPolicy has every rule.
const testPolicy = `apiVersion: image-webhook.dev/v1alpha1
kind: ImagePolicy
mirrors:
  - {source: docker.io, mirror: hub.example}
  - {source: quay.io/team, mirror: hub.example/quay/team}
disallowedTags: [latest, "*-snapshot"]
exemptImages: [docker.io/library/busybox]
allowedRegistries: [hub.example, quay.io]
requireDigest: [quay.io/prod]
deniedImages:
  - {image: "nginx:1.25.0", reason: CVE-2023-44487}
`

func testRules(t testing.TB) *admission.Rules {
	t.Helper()
	rules, err := policy.Read("policy.yaml", []byte(testPolicy), policy.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// recorder keeps what is written.
type recorder struct {
	images   []report.Image
	problems []report.Problem
}

func (r *recorder) Image(i report.Image) error     { r.images = append(r.images, i); return nil }
func (r *recorder) Problem(p report.Problem) error { r.problems = append(r.problems, p); return nil }
func (r *recorder) Missing(report.Missing) error   { return nil }
func (r *recorder) Close(report.Summary) error     { return nil }

// lines returns what was written as text.
func (r *recorder) lines() (lines []string) {
	for _, i := range r.images {
		line := fmt.Sprintf("%s#%d:%d:%d %s %s: %s", i.File, i.Document, i.Line, i.Column, i.Object, i.Field, i.Image)
		if i.Mirrored != "" {
			line += " -> " + i.Mirrored
		}
		if i.Fixed {
			line += " fixed"
		}
		for _, v := range i.Violations {
			line += " !" + v.Rule
		}
		lines = append(lines, line)
	}
	for _, p := range r.problems {
		lines = append(lines, fmt.Sprintf("%s#%d:%d:%d %s", p.File, p.Document, p.Line, p.Column, p.Message))
	}
	return lines
}

// runIn runs a check in a directory with files.
func runIn(t *testing.T, files map[string]string, o Options, paths ...string) (*recorder, Found) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var r recorder
	o.Rules = testRules(t)
	found, err := Run(t.Context(), paths, o, &r)
	if err != nil {
		t.Fatal(err)
	}
	return &r, found
}

// podManifest returns a pod with containers on one line.
func podManifest(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf("{name: c%d, image: %s}", i, image))
	}
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: it}\nspec: {containers: [" + strings.Join(containers, ", ") + "]}\n"
}

func TestCheck(t *testing.T) {
	rollout := "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec:\n  template:\n    spec: {initContainers: [{image: a}], containers: [{image: quay.io/x:1}]}\n"
	for _, tt := range []struct {
		name       string
		files      map[string]string
		imagePaths []string
		paths      []string
		want       []string
		summary    report.Summary
	}{
		{
			name: "every rule", files: map[string]string{"a.yaml": podManifest("nginx", "nginx:1.25.0", "quay.io/prod/a:1", "ghcr.io/a:1-snapshot", "Nginx", "busybox")}, paths: []string{"a.yaml"},
			want: []string{
				"a.yaml#1:4:39 pod/it spec.containers[0].image: nginx -> hub.example/library/nginx !no_tag",
				"a.yaml#1:4:65 pod/it spec.containers[1].image: nginx:1.25.0 -> hub.example/library/nginx:1.25.0 !denied_image",
				"a.yaml#1:4:98 pod/it spec.containers[2].image: quay.io/prod/a:1 !digest",
				"a.yaml#1:4:135 pod/it spec.containers[3].image: ghcr.io/a:1-snapshot !registry !tag",
				"a.yaml#1:4:176 pod/it spec.containers[4].image: Nginx !invalid_reference",
				"a.yaml#1:4:202 pod/it spec.containers[5].image: busybox -> hub.example/library/busybox",
			},
			summary: report.Summary{Files: 1, Objects: 1, Images: 6, Violations: 5},
		},
		{
			name: "a directory, in order, without other and hidden files",
			files: map[string]string{
				"d/b.yml": podManifest("b:1"), "d/a/c.JSON": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"it"},"spec":{"containers":[{"image":"c:1"}]}}`,
				"d/z.txt": podManifest("z"), "d/.git/x.yaml": podManifest("x"), "d/.hidden.yaml": podManifest("h:1"), "d/values.yaml": "image: {tag: latest}\n",
			},
			paths: []string{"d", "d/b.yml"},
			want: []string{
				"d/.hidden.yaml#1:4:39 pod/it spec.containers[0].image: h:1 -> hub.example/library/h:1",
				"d/a/c.JSON#1:1:89 pod/it spec.containers[0].image: c:1 -> hub.example/library/c:1",
				"d/b.yml#1:4:39 pod/it spec.containers[0].image: b:1 -> hub.example/library/b:1",
			},
			summary: report.Summary{Files: 4, Objects: 3, Images: 3},
		},
		{
			name: "mirror pods of static pods, and objects without images", paths: []string{"a.yaml"},
			files: map[string]string{"a.yaml": strings.Replace(podManifest("nginx"), "name: it", "name: it, annotations: {kubernetes.io/config.mirror: x}", 1) + "---\napiVersion: v1\nkind: ConfigMap\ndata: {image: nginx}\n"},
			want:  nil, summary: report.Summary{Files: 1, Objects: 1},
		},
		{
			name: "an image on its mirror", files: map[string]string{"a.yaml": podManifest("hub.example/library/nginx:1.25.0")}, paths: []string{"a.yaml"},
			want:    []string{"a.yaml#1:4:39 pod/it spec.containers[0].image: hub.example/library/nginx:1.25.0 !denied_image"},
			summary: report.Summary{Files: 1, Objects: 1, Images: 1, Violations: 1},
		},
		{
			name: "a container without an image", files: map[string]string{"a.yaml": "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n"}, paths: []string{"a.yaml"},
			want:    []string{"a.yaml#1:5:5 pod/ spec.containers[0].image:  !invalid_reference"},
			summary: report.Summary{Files: 1, Objects: 1, Images: 1, Violations: 1},
		},
		{
			name: "an unknown kind with containers", files: map[string]string{"a.yaml": rollout}, paths: []string{"a.yaml"},
			want:    []string{"a.yaml#1:6:37 kind Rollout.argoproj.io is unknown, and spec.template.spec.initContainers[0].image looks like an image: name the fields of its images, such as --image-path=Rollout.argoproj.io=spec.template.spec, or --image-path=Rollout.argoproj.io= if it has none"},
			summary: report.Summary{Files: 1, Problems: 1},
		},
		{
			name: "a pod spec of an unknown kind", files: map[string]string{"a.yaml": rollout}, paths: []string{"a.yaml"}, imagePaths: []string{"Rollout.argoproj.io=spec.template.spec"},
			want: []string{
				"a.yaml#1:6:37 rollout/r spec.template.spec.initContainers[0].image: a -> hub.example/library/a !no_tag",
				"a.yaml#1:6:63 rollout/r spec.template.spec.containers[0].image: quay.io/x:1",
			},
			summary: report.Summary{Files: 1, Objects: 1, Images: 2, Violations: 1},
		},
		{
			name: "images of an unknown kind", files: map[string]string{"a.yaml": rollout}, paths: []string{"a.yaml"}, imagePaths: []string{"Rollout.argoproj.io=spec.template.spec.containers[*].image", "Rollout.argoproj.io=.spec.missing"},
			want:    []string{"a.yaml#1:6:63 rollout/r spec.template.spec.containers[0].image: quay.io/x:1"},
			summary: report.Summary{Files: 1, Objects: 1, Images: 1},
		},
		{
			name: "an unknown kind without images", files: map[string]string{"a.yaml": rollout}, paths: []string{"a.yaml"}, imagePaths: []string{"Rollout.argoproj.io="},
			summary: report.Summary{Files: 1, Objects: 1},
		},
		{
			name: "a path to something else", files: map[string]string{"a.yaml": rollout}, paths: []string{"a.yaml"}, imagePaths: []string{"Rollout.argoproj.io=spec.template"},
			want:    []string{"a.yaml#1:6:5 spec.template is neither an image nor a pod spec: change --image-path"},
			summary: report.Summary{Files: 1, Objects: 1, Problems: 1},
		},
		{
			name: "a version that the API server does not have any more", files: map[string]string{"a.yaml": "apiVersion: extensions/v1beta1\nkind: Deployment\n"}, paths: []string{"a.yaml"},
			want:    []string{`a.yaml#1:1:1 unknown version "v1beta1" of kind Deployment.extensions: use the current version`},
			summary: report.Summary{Files: 1, Problems: 1},
		},
		{
			name: "a broken document among others", files: map[string]string{"a.yaml": podManifest("a:1") + "---\na: [\n---\n" + podManifest("b:1"), "b.yaml": podManifest("c:1")}, paths: []string{"a.yaml", "none.yaml", "b.yaml"},
			want: []string{
				"a.yaml#1:4:39 pod/it spec.containers[0].image: a:1 -> hub.example/library/a:1",
				"a.yaml#3:11:39 pod/it spec.containers[0].image: b:1 -> hub.example/library/b:1",
				"b.yaml#1:4:39 pod/it spec.containers[0].image: c:1 -> hub.example/library/c:1",
				"a.yaml#2:6:0 invalid YAML: did not find expected node content: check the quotes and the indentation near this line",
				"none.yaml#0:0:0 cannot stat: no such file or directory: check the path",
			},
			summary: report.Summary{Files: 2, Objects: 3, Images: 3, Problems: 2},
		},
		{
			name: "a directory without manifests", files: map[string]string{"d/a.txt": ""}, paths: []string{"d"},
			want:    []string{"d#0:0:0 no manifests: name a directory with files that end in .yaml, .yml, .json"},
			summary: report.Summary{Problems: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			paths, err := ParseImagePaths(tt.imagePaths)
			if err != nil {
				t.Fatal(err)
			}
			got, found := runIn(t, tt.files, Options{ImagePaths: paths}, tt.paths...)
			if diff := cmp.Diff(tt.want, got.lines()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.summary, found.Summary); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinksAndUnreadableFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("d", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "d/a.yaml", podManifest("a:1"))
	for link, target := range map[string]string{"d/loop": "../d", "d/b.yaml": "a.yaml", "d/broken.yaml": "none", "d/self.yaml": "self.yaml", "d/null.yaml": os.DevNull, "dlink": "d"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	var r recorder
	if _, err := Run(t.Context(), []string{"dlink"}, Options{Rules: testRules(t)}, &r); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"dlink/a.yaml#1:4:39 pod/it spec.containers[0].image: a:1 -> hub.example/library/a:1",
		"dlink/b.yaml#1:4:39 pod/it spec.containers[0].image: a:1 -> hub.example/library/a:1",
		"dlink/broken.yaml#0:0:0 cannot open: no such file or directory: check the path",
		"dlink/self.yaml#0:0:0 cannot open: too many levels of symbolic links",
	}
	if diff := cmp.Diff(want, r.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestStandardInput(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        []string
	}{
		{"a manifest", podManifest("a:1"), []string{"-#1:4:39 pod/it spec.containers[0].image: a:1 -> hub.example/library/a:1"}},
		{"nothing, as from a command that failed", "", []string{"-#0:0:0 standard input is empty: check the command before the pipe"}},
		{"only comments", "# a\n---\n", []string{"-#0:0:0 standard input is empty: check the command before the pipe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := runIn(t, nil, Options{Stdin: strings.NewReader(tt.input)}, "-")
			if diff := cmp.Diff(tt.want, got.lines()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMirroredImagesAreListedOnce(t *testing.T) {
	_, found := runIn(t, map[string]string{"a.yaml": podManifest("nginx:1", "docker.io/library/nginx:1", "hub.example/quay/team/app:1", "ghcr.io/x:1")}, Options{}, "a.yaml")
	want := []report.Missing{
		{Place: report.Place{File: "a.yaml", Document: 1, Line: 4, Column: 39}, From: "docker.io/library/nginx:1", To: "hub.example/library/nginx:1"},
		{Place: report.Place{File: "a.yaml", Document: 1, Line: 4, Column: 113}, From: "quay.io/team/app:1", To: "hub.example/quay/team/app:1"},
	}
	if diff := cmp.Diff(want, found.Mirrored); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestInvalidImagePaths(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{[]string{"Rollout"}, `image path "Rollout" is not KIND.GROUP=PATH: use a form such as Rollout.argoproj.io=spec.template.spec`},
		{[]string{"Rollout=spec"}, `image path "Rollout=spec" is not KIND.GROUP=PATH: use a form such as Rollout.argoproj.io=spec.template.spec`},
		{[]string{"Rollout.argoproj.io/v1=spec"}, `image path "Rollout.argoproj.io/v1=spec" has a version: use KIND.GROUP without it`},
		{[]string{"Deployment.apps=spec"}, `image path "Deployment.apps=spec" is for a kind whose images are known: remove it`},
		{[]string{"A.b.c=spec..x"}, `image path "A.b.c=spec..x" has the invalid key "": write keys separated by dots, such as spec.template.spec`},
		{[]string{"A.b.c=spec[0].x"}, `image path "A.b.c=spec[0].x" has the invalid key "spec[0]": write keys separated by dots, such as spec.template.spec`},
		{[]string{"A.b.c=spec", "A.b.c="}, `image path "A.b.c=" says that the kind has no images, but another one names them: remove one of them`},
	} {
		_, err := ParseImagePaths(tt.values)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.values, err, tt.want)
		}
	}
}

// Ten times as many images and fields would take a hundred times as long if the time was quadratic.
func TestManyImagesAfterManyFields(t *testing.T) {
	few, many := timeOfImages(t, 10_000), timeOfImages(t, 100_000)
	if many > 40*few {
		t.Errorf("10,000 images took %s, 100,000 images took %s", few, many)
	}
}

// timeOfImages returns the CPU time of a check of so many images after twice as many other fields. Other programs
// on the machine do not change it.
func timeOfImages(t *testing.T, images int) time.Duration {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: Pod\nspec:\n")
	for i := range 2 * images {
		fmt.Fprintf(&text, " f%d: 1\n", i)
	}
	text.WriteString(" containers:\n" + strings.Repeat(" - image: quay.io/x:1\n", images))
	start := cpuTime(t)
	_, found := runIn(t, nil, Options{Stdin: strings.NewReader(text.String())}, "-")
	if found.Images != images {
		t.Errorf("checked %d images, want %d", found.Images, images)
	}
	return cpuTime(t) - start
}

// cpuTime returns how long this process has used CPUs.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// failing is a writer that fails.
type failing struct{ recorder }

func (*failing) Image(report.Image) error { return errors.New("disk full") }

func TestErrorOfTheWriterEndsTheCheck(t *testing.T) {
	many := strings.Repeat(podManifest("nginx")+"---\n", 2000)
	_, err := Run(t.Context(), []string{"-"}, Options{Rules: testRules(t), Stdin: strings.NewReader(many)}, &failing{})
	if err == nil || err.Error() != "disk full" {
		t.Errorf("got %v", err)
	}
}

func TestInterruptEndsTheCheck(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := strings.Repeat(podManifest("nginx")+"---\n", 2000)
	var r recorder
	if _, err := Run(ctx, []string{"-"}, Options{Rules: testRules(t), Stdin: strings.NewReader(many)}, &r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestInterruptEndsWaitingForInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.WriteString(out, podManifest("nginx")+"---\n")
		cancel()
	}()
	var r recorder
	if _, err := Run(ctx, []string{"-"}, Options{Rules: testRules(t), Stdin: in}, &r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkCheck checks 10,000 Deployments with two images each, in files and in one stream.
func BenchmarkCheck(b *testing.B) {
	manifest, err := os.ReadFile("testdata/deployment.yaml")
	if err != nil {
		b.Fatal(err)
	}
	const manifests = 10_000
	directory := b.TempDir()
	for i := range manifests {
		if err := os.WriteFile(filepath.Join(directory, fmt.Sprintf("%d.yaml", i)), manifest, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	stream := bytes.Repeat(append([]byte("---\n"), manifest...), manifests)
	for _, bb := range []struct{ name, path string }{{"files", directory}, {"stream", "-"}} {
		b.Run(bb.name, func(b *testing.B) {
			rules := testRules(b)
			for b.Loop() {
				found, err := Run(b.Context(), []string{bb.path}, Options{Rules: rules, Stdin: bytes.NewReader(stream)}, &discarding{})
				if err != nil || found.Images != 2*manifests || found.Problems > 0 {
					b.Fatal(err, found.Summary)
				}
			}
			b.ReportMetric(manifests*float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
		})
	}
}

type discarding struct{ recorder }

func (*discarding) Image(report.Image) error { return nil }
