package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// The corpus combines every kind with a pod spec, every image of the matrix and more, and several ways to
// write a manifest. `kubectl image-webhook check` reads the files, and the API server gets the same text
// as kubectl would send it.

// oddImages are images that are easily read in another way, besides imageKinds.
var oddImages = []string{
	"nginx", "library/nginx:1", "docker.io/nginx:1", "index.docker.io/nginx:1", "INDEX.DOCKER.IO/library/nginx:1", "docker.io:443/nginx:1",
	"docker.mirror.example:443/library/redis:7.0", "DOCKER.mirror.example/library/nginx:1", "registry.k8s.io:0443/pause:3", "Registry.K8s.Io/pause",
	"quay.io/team/app:LATEST", "quay.io/team/app:Latest", "quay.io/team/app:dev-", "quay.io/team/app:1-SNAPSHOT", "quay.io/teams/app:1",
	"quay.io/team/nightly", "quay.io/team/nightly/old", "QUAY.IO/team/nightly:dev-1", "ghcr.io/prod/debug", "ghcr.io/prod/debugger:1",
	"localhost/app:1", "localhost:5000/app", "[::1]:5000/app:1", "10.0.0.1/app:1", "my_host/app:1", "a.b/c", "a/b", "a/b/c/d/e:1",
	"acme/app:latest", "acme:1", "acme/deep/app:1", "busybox", "docker.io/library/busybox:dev-1", "postgres:16" + pinned, "postgres" + pinned,
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"nginx@sha256:short", "nginx:", ":1", "nginx::1", "nginx@", "/nginx", "nginx/", "a//b", "nginx:1:2", "nginx:1@2", "-nginx", "nginx:-1", "UPPER/case",
	"true", "1.25", "null", "yes", "~", "0x1F", "*", "&a", "!tag", "a#b", "a: b", "{a}", "[a]", "'quoted'", `"quoted"`, `back\slash`, "\u00fcml\u00e4ut:1", "\U0001F600",
	strings.Repeat("a", 300), "a/" + strings.Repeat("b", 260) + ":1", "nginx:" + strings.Repeat("t", 129),
}

func corpusImages() (images []string) {
	for _, kind := range imageKinds {
		images = append(images, kind.written)
	}
	return append(images, oddImages...)
}

// corpusKind is a kind with a pod spec.
type corpusKind struct {
	resource schema.GroupVersionResource
	kind     string
	specPath string         // of the pod spec, with dots
	extra    map[string]any // other required fields of spec
}

var matchLabels = map[string]any{"matchLabels": map[string]any{"app": "it"}}

var corpusKinds = []corpusKind{
	{pods, "Pod", "spec", nil},
	{schema.GroupVersionResource{Version: "v1", Resource: "podtemplates"}, "PodTemplate", "template.spec", nil},
	{schema.GroupVersionResource{Version: "v1", Resource: "replicationcontrollers"}, "ReplicationController", "spec.template.spec", map[string]any{"selector": map[string]any{"app": "it"}}},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "Deployment", "spec.template.spec", map[string]any{"selector": matchLabels}},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, "StatefulSet", "spec.template.spec", map[string]any{"selector": matchLabels, "serviceName": "it"}},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, "DaemonSet", "spec.template.spec", map[string]any{"selector": matchLabels}},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, "ReplicaSet", "spec.template.spec", map[string]any{"selector": matchLabels}},
	{schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}, "Job", "spec.template.spec", nil},
	{schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}, "CronJob", "spec.jobTemplate.spec.template.spec", map[string]any{"schedule": "0 0 * * *"}},
}

// corpusManifest is a manifest with one object.
type corpusManifest struct {
	corpusKind
	file string
	text []byte
}

// podSpec returns a pod spec with three images.
func (w corpusKind) podSpec(images [3]string) map[string]any {
	spec := map[string]any{
		"initContainers": []any{map[string]any{"name": "first", "image": images[1]}},
		"containers":     []any{map[string]any{"name": "main", "image": images[0]}},
		"volumes":        []any{map[string]any{"name": "data", "image": map[string]any{"reference": images[2]}}},
	}
	if w.resource.Group == "batch" {
		spec["restartPolicy"] = "Never"
	}
	return spec
}

// object returns an object with a pod spec.
func (w corpusKind) object(name string, podSpec map[string]any) map[string]any {
	apiVersion := strings.TrimPrefix(w.resource.Group+"/"+w.resource.Version, "/")
	object := map[string]any{"apiVersion": apiVersion, "kind": w.kind, "metadata": map[string]any{"name": name}}
	keys := strings.Split(w.specPath, ".")
	node := object
	for i, key := range keys[:len(keys)-1] {
		next := map[string]any{}
		if key == "template" {
			next["metadata"] = map[string]any{"labels": map[string]any{"app": "it"}}
		}
		if i == 0 {
			maps.Copy(next, w.extra)
		}
		node[key] = next
		node = next
	}
	node[keys[len(keys)-1]] = podSpec
	return object
}

// writings are ways to write an object. The text of each has the same object.
var writings = []struct {
	name, extension string
	write           func(object map[string]any) ([]byte, error)
}{
	{"block", "yaml", func(o map[string]any) ([]byte, error) { return yaml.Marshal(o) }},
	{"json", "json", func(o map[string]any) ([]byte, error) { return json.Marshal(o) }},
	{"tabs", "json", func(o map[string]any) ([]byte, error) { return json.MarshalIndent(o, "", "\t") }},
	{"flow", "yaml", func(o map[string]any) ([]byte, error) {
		text, err := json.Marshal(o)
		return append([]byte("# in the flow style\n--- "), text...), err
	}},
	{"documents", "yml", func(o map[string]any) ([]byte, error) {
		text, err := yaml.Marshal(o)
		return slices.Concat([]byte("# Source: chart/templates/it.yaml\n---\n\n---\n"), text, []byte("---\n# the end\n")), err
	}},
	{"windows", "yaml", func(o map[string]any) ([]byte, error) {
		text, err := yaml.Marshal(o)
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), err
	}},
	{"anchors", "yaml", func(o map[string]any) ([]byte, error) {
		text, err := yaml.Marshal(o)
		return imageLine.ReplaceAll(text, []byte("$1&image $2\n")), err
	}},
	{"list", "yaml", func(o map[string]any) ([]byte, error) {
		return yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{o}})
	}},
}

// imageLine matches an image on one line of its own.
var imageLine = regexp.MustCompile(`(?m)^([ -]*(?:image|reference): )([^\n{>|]+)\n`)

// corpus returns the manifests.
func corpus(t *testing.T) (manifests []corpusManifest) {
	t.Helper()
	images := corpusImages()
	for i, image := range images {
		for k, w := range corpusKinds {
			number := i*len(corpusKinds) + k
			name := "m" + strconv.Itoa(number)
			writing := writings[(i+k)%len(writings)]
			spec := w.podSpec([3]string{image, images[(i+7*k+1)%len(images)], images[(i+11*k+5)%len(images)]})
			text, err := writing.write(w.object(name, spec))
			if err != nil {
				t.Fatal(err)
			}
			manifests = append(manifests, corpusManifest{w, fmt.Sprintf("%s-%s.%s", name, writing.name, writing.extension), text})
		}
	}
	return manifests
}

// sent returns the object that kubectl sends to the API server.
func (m corpusManifest) sent(t *testing.T) map[string]any {
	t.Helper()
	for document := range bytes.SplitSeq(m.text, []byte("\n---")) {
		var object map[string]any
		if err := yaml.Unmarshal(bytes.TrimPrefix(document, []byte("---")), &object); err != nil {
			t.Fatalf("%s: %v", m.file, err)
		}
		if items, ok := object["items"].([]any); ok {
			object = items[0].(map[string]any)
		}
		if object != nil {
			return object
		}
	}
	t.Fatalf("%s has no object", m.file)
	return nil
}

// sentWithPod returns the object, and a pod with its pod spec.
func (m corpusManifest) sentWithPod(t *testing.T) (object, pod map[string]any) {
	t.Helper()
	object = m.sent(t)
	spec, _, err := unstructured.NestedMap(object, strings.Split(m.specPath, ".")...)
	if err != nil {
		t.Fatal(err)
	}
	return object, map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "it"}, "spec": spec}
}

// imageVerdict is what happens to an image.
type imageVerdict struct {
	Stored string
	Rules  []string // that it breaks, sorted
}

// verdicts are those of the images of a manifest, by field.
type verdicts map[string]imageVerdict

// buildPlugin builds the plugin of kubectl once and returns its path.
func buildPlugin(t *testing.T) string {
	t.Helper()
	path, err := pluginProgram()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var pluginProgram = sync.OnceValues(func() (string, error) {
	dir, release, err := apiserver.NewRunDir(suiteContext)
	if err != nil {
		return "", err
	}
	err = stops.push(func() error {
		defer release()
		return os.RemoveAll(dir)
	})
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "kubectl-image_webhook")
	build := subprocess.Command{Dir: root, Args: []string{"go", "build", "-o", program, "./webhook/cmd/kubectl-image_webhook"}}
	return program, build.Run(suiteContext)
})

// pluginVerdicts returns the verdicts of the plugin for the manifests in a directory, by file.
func pluginVerdicts(t *testing.T, directory, policy string) map[string]verdicts {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), buildPlugin(t), "check", "--config="+policy, "--output=json", directory).Output()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want the exit code 1:\n%s", err, output)
	}
	var report struct {
		Images []struct {
			File, Field, Image, Mirrored string
			Violations                   []struct{ Rule string }
		}
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatal(err)
	}
	all := map[string]verdicts{}
	for _, image := range report.Images {
		file := filepath.Base(image.File)
		if all[file] == nil {
			all[file] = verdicts{}
		}
		v := imageVerdict{Stored: image.Image}
		if image.Mirrored != "" {
			v.Stored = image.Mirrored
		}
		for _, violation := range image.Violations {
			v.Rules = append(v.Rules, strings.Replace(violation.Rule, "no_tag", "tag", 1))
		}
		slices.Sort(v.Rules)
		all[file][image.Field] = v
	}
	return all
}

// warningRules are the rules of warnings, by their beginnings.
var warningRules = []struct{ start, rule string }{
	{"image is denied: ", "denied_image"}, {"registry is not allowed: ", "registry"}, {"digest is required: ", "digest"},
	{"invalid image reference: ", "invalid_reference"}, {"use `", "tag"},
}

// warnedField matches the field in a warning.
var warnedField = regexp.MustCompile(`\((\S+)\) has image `)

// dryRunObject creates an object in a namespace of the matrix as a dry run.
func (s *testServer) dryRunObject(t *testing.T, resource schema.GroupVersionResource, m mode, object map[string]any) (stored *unstructured.Unstructured, texts []string, err error) {
	t.Helper()
	ctx, collected := collectWarnings(t.Context())
	stored, err = s.objects.Resource(resource).Namespace(m.namespace()).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return stored, *collected, err
}

// serverVerdicts returns the verdicts of the API server with the webhook. The mode warn stores and warns, so
// that images that would be denied are mirrored too; the mode deny must deny the same fields.
func (s *testServer) serverVerdicts(t *testing.T, m corpusManifest) verdicts {
	t.Helper()
	object, pod := m.sentWithPod(t)
	warn, deny := modes[2], modes[1]
	found := s.storedVerdicts(t, m, pod)
	_, texts, err := s.dryRunObject(t, m.resource, warn, object)
	if err != nil {
		t.Fatalf("%s: %v", m.file, err)
	}
	for _, text := range texts {
		i := slices.IndexFunc(warningRules, func(r struct{ start, rule string }) bool { return strings.HasPrefix(text, r.start) })
		field := warnedField.FindStringSubmatch(text)
		if i < 0 || field == nil {
			continue // a warning of the API server itself
		}
		v := found[field[1]]
		v.Rules = append(v.Rules, warningRules[i].rule)
		slices.Sort(v.Rules)
		found[field[1]] = v
	}
	_, _, err = s.dryRunObject(t, pods, deny, pod)
	for field, v := range found {
		named := "(spec" + strings.TrimPrefix(field, m.specPath) + ")"
		if denied := apierrors.IsForbidden(err) && strings.Contains(err.Error(), named); denied != (len(v.Rules) > 0) {
			t.Errorf("%s: the mode warn warns about %s because of %q, but the mode deny answers %v", m.file, field, v.Rules, err)
		}
	}
	return found
}

// corpusCounts contains the numbers of manifests with the same verdicts, of their images, and of those that are
// not allowed and mirrored.
type corpusCounts struct{ manifests, fields, denied, mirrored atomic.Int32 }

func (c *corpusCounts) String() string {
	return fmt.Sprintf("%d manifests with %d images as on the API server: %d not allowed, %d mirrored",
		c.manifests.Load(), c.fields.Load(), c.denied.Load(), c.mirrored.Load())
}

// checkCorpus compares the verdicts of the plugin and of an API server for manifests.
func checkCorpus(t *testing.T, manifests []corpusManifest, counts *corpusCounts, serverVerdicts func(*testing.T, corpusManifest) verdicts) {
	directory := t.TempDir()
	for _, m := range manifests {
		write(t, filepath.Join(directory, m.file), m.text)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, policy, []byte(matrixPolicy))
	said := pluginVerdicts(t, directory, policy)
	for _, m := range manifests {
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			want := serverVerdicts(t, m)
			if diff := cmp.Diff(want, said[m.file]); diff != "" {
				t.Errorf("verdicts (-API server +plugin):\n%s\nmanifest:\n%s", diff, m.text)
			}
			counts.add(t, want)
		})
	}
}

// add counts the verdicts of a manifest, unless they differ.
func (c *corpusCounts) add(t *testing.T, found verdicts) {
	if t.Failed() {
		return
	}
	c.manifests.Add(1)
	c.fields.Add(int32(len(found)))
	for _, v := range found {
		if len(v.Rules) > 0 {
			c.denied.Add(1)
		}
		if strings.Contains(v.Stored, ".mirror.example/") {
			c.mirrored.Add(1)
		}
	}
}
