// Package tiltfile tests the Tiltfile without Tilt: what it would start and apply, in
// which order, and on which cluster only. See type tilt for what stands in for Tilt.
package tiltfile

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/gobuild"
)

const (
	devContext   = "kind-image-webhook"
	certgenImage = "image-webhook.dev/certgen"
	webhookImage = "image-webhook.dev/image-webhook"
)

// modes are what a person can choose from.
var modes = []struct {
	name    string
	options map[string]string
}{
	{"rollout", nil},
	{"sync", map[string]string{"sync": "true"}},
}

func evaluated(t *testing.T, options map[string]string) *tilt {
	t.Helper()
	made := &tilt{context: devContext, options: options}
	if err := made.evaluate(); err != nil {
		t.Fatal(err)
	}
	return made
}

// quoted are arguments for a shell.
func quoted(args []string) string {
	words := slices.Clone(args)
	for i, arg := range words {
		if strings.Contains(arg, " ") {
			words[i] = `"` + arg + `"`
		}
	}
	return strings.Join(words, " ")
}

func TestRefusesBeforeAnythingElse(t *testing.T) {
	for _, test := range []struct {
		name string
		tilt tilt
		want string
	}{
		{
			"a cluster that people rely on", tilt{context: "production"},
			`this is for the context "kind-image-webhook" alone, and the current one is "production": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=image-webhook)" first`,
		},
		{
			"another kind cluster", tilt{context: "kind-kind"},
			`this is for the context "kind-image-webhook" alone, and the current one is "kind-kind": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=image-webhook)" first`,
		},
		{
			"another cluster than the one that is named", tilt{context: devContext, options: map[string]string{"cluster": "other"}},
			`this is for the context "kind-other" alone, and the current one is "kind-image-webhook": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=other)" first`,
		},
		{
			"a checkout without tools", tilt{context: devContext, missing: []string{"bin/cluster"}},
			"there is no bin/cluster to load images with: run `make tilt`, which compiles it",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.tilt.evaluate()
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			called := slices.DeleteFunc(test.tilt.called, func(name string) bool { return name == "allow_k8s_contexts" })
			if len(called) > 0 {
				t.Errorf("%v was called before", called)
			}
		})
	}
}

func TestContexts(t *testing.T) {
	for _, test := range []struct {
		name string
		tilt tilt
	}{
		{"the cluster of make up", tilt{context: devContext}},
		{"one that is named", tilt{context: "kind-other", options: map[string]string{"cluster": "other"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.tilt.evaluate(); err != nil {
				t.Fatal(err)
			}
			if test.tilt.allowed != test.tilt.context {
				t.Errorf("allowed is %q, want %q alone", test.tilt.allowed, test.tilt.context)
			}
		})
	}
}

func TestResources(t *testing.T) {
	sources := []string{"webhook", "go.mod", "go.sum"}
	installed := []string{"patch-webhookconfigure"}
	want := map[string]resource{
		"rights": {Label: "webhook", Objects: []string{
			"image-webhook:namespace",
			"webhook:serviceaccount", "certgen:serviceaccount", "certgen:role", "certgen:rolebinding",
			"patch-webhookconfigure:serviceaccount", "patch-webhookconfigure:role", "patch-webhookconfigure:rolebinding",
			"image-webhook-patch-webhookconfigure:clusterrole", "image-webhook-patch-webhookconfigure:clusterrolebinding",
		}},
		"certgen": {Label: "webhook", After: []string{"rights"}, Objects: []string{"certgen:job"}},
		"webhook": {
			Label: "webhook", After: []string{"certgen"}, Forward: []string{"8443:8443"},
			Objects: []string{"webhook:poddisruptionbudget", "webhook:deployment", "webhook:service"},
		},
		"registration": {Label: "webhook", After: []string{"webhook"}, Objects: []string{
			"image-webhook:validatingwebhookconfiguration", "image-webhook-warnings:validatingwebhookconfiguration",
			"image-webhook:mutatingwebhookconfiguration",
		}},
		"patch-webhookconfigure": {Label: "webhook", After: []string{"registration"}, Objects: []string{"patch-webhookconfigure:job"}},
		"unit-tests":             {Label: "tests", Command: "nice go test ./webhook/...", Deps: sources, Beside: true},
		"deny":                   {Label: "demos", Command: "scripts/deny.sh", After: installed, Manual: true},
		"rewrite":                {Label: "demos", Command: "scripts/rewrite.sh", After: installed, Manual: true},
		"outage":                   {Label: "demos", Command: "scripts/outage.sh", After: installed, Manual: true},
		"mirror":                 {Label: "demos", Command: "scripts/mirror.sh", After: installed, Manual: true},
		"e2e":                    {Label: "tests", Command: "make e2e", After: installed, Manual: true},
	}
	if diff := cmp.Diff(want, evaluated(t, nil).resources); diff != "" {
		t.Errorf("rollout (-want +got):\n%s", diff)
	}

	synced := maps.Clone(want)
	webhook := want["webhook"]
	webhook.After = []string{"certgen", "compile"}
	synced["webhook"] = webhook
	synced["compile"] = resource{Label: "webhook", Deps: sources, Beside: true, Command: "mkdir -p bin/tilt && " +
		"CGO_ENABLED=0 GOOS=linux go build " + quoted(gobuild.Small) + " -o bin/tilt/image-webhook.new ./webhook/cmd/image-webhook && " +
		"(cmp -s bin/tilt/image-webhook.new bin/tilt/image-webhook || mv bin/tilt/image-webhook.new bin/tilt/image-webhook)"}
	if diff := cmp.Diff(synced, evaluated(t, map[string]string{"sync": "true"}).resources); diff != "" {
		t.Errorf("sync (-want +got):\n%s", diff)
	}

	elsewhere := &tilt{context: "kind-other", options: map[string]string{"cluster": "other"}}
	if err := elsewhere.evaluate(); err != nil {
		t.Fatal(err)
	}
	delete(want, "e2e") // which is for the cluster of make up
	if diff := cmp.Diff(want, elsewhere.resources); diff != "" {
		t.Errorf("another cluster (-want +got):\n%s", diff)
	}
}

func TestImages(t *testing.T) {
	const load = "mkdir -p bin/tilt && bin/cluster load --name=image-webhook"
	certgen := image{
		Command: load + " >bin/tilt/certgen.ref", Ref: "bin/tilt/certgen.ref",
		Deps: []string{"webhook/cmd/certgen", "webhook/certgen", "go.mod", "go.sum"}, Remote: true,
	}
	webhook := image{
		Command: load + " >bin/tilt/image-webhook.ref", Ref: "bin/tilt/image-webhook.ref",
		Deps: []string{"webhook", "go.mod", "go.sum"}, Remote: true,
	}
	if diff := cmp.Diff(map[string]image{certgenImage: certgen, webhookImage: webhook}, evaluated(t, nil).images); diff != "" {
		t.Errorf("rollout (-want +got):\n%s", diff)
	}

	webhook.Command = load + " --supervised >bin/tilt/image-webhook.ref"
	webhook.Deps = []string{"bin/tilt/image-webhook", "tools/images/supervise", "go.mod", "go.sum"}
	webhook.Update = []string{"bin/tilt/image-webhook /live/image-webhook", "/supervise --restart"}
	synced := evaluated(t, map[string]string{"sync": "true"})
	if diff := cmp.Diff(map[string]image{certgenImage: certgen, webhookImage: webhook}, synced.images); diff != "" {
		t.Errorf("sync (-want +got):\n%s", diff)
	}
}

// A save that nothing watches would leave the old program running.
func TestEverySourceIsWatched(t *testing.T) {
	for _, test := range []struct {
		pkg     string
		watched []string
	}{
		{"./webhook/cmd/certgen", evaluated(t, nil).images[certgenImage].Deps},
		{"./webhook/cmd/image-webhook", evaluated(t, nil).images[webhookImage].Deps},
		{"./webhook/cmd/image-webhook", evaluated(t, modes[1].options).resources["compile"].Deps},
		{"./tools/images/supervise", evaluated(t, modes[1].options).images[webhookImage].Deps},
	} {
		for _, folder := range folders(t, test.pkg) {
			if !slices.ContainsFunc(test.watched, func(path string) bool { return strings.HasPrefix(folder+"/", path+"/") }) {
				t.Errorf("%s is built from %s, and watched are only %v", test.pkg, folder, test.watched)
			}
		}
	}
}

// folders are those of this module that a program is built from.
func folders(t *testing.T, pkg string) (found []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", pkg)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.FieldsSeq(string(out)) {
		folder, err := filepath.Rel(top, dir)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, folder)
	}
	return found
}

// Tilt applies the objects of no resource at once, and so before what they need.
func TestEveryObjectHasItsResource(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			made := evaluated(t, mode.options)
			var applied, manifests []string
			for _, r := range made.resources {
				applied = append(applied, r.Objects...)
			}
			for _, object := range written(t) {
				manifests = append(manifests, identity(object))
			}
			if diff := cmp.Diff(manifests, applied, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("objects of deploy/ and of the resources differ (-want +got):\n%s", diff)
			}
		})
	}
}

func written(t *testing.T) (objects []*unstructured.Unstructured) {
	t.Helper()
	for _, file := range deploy.Files() {
		decoded, err := decode([]byte(file.Content))
		if err != nil {
			t.Fatalf("deploy/%s: %v", file.Name, err)
		}
		objects = append(objects, decoded...)
	}
	return objects
}

// What is applied is what the manifests say, but for the lines that are listed.
func TestChangesOfTheManifests(t *testing.T) {
	always := []string{
		"webhook:deployment maxSurge: 100%",
		"webhook:deployment 1",
		"certgen:job image: image-webhook.dev/certgen",
		"patch-webhookconfigure:job image: image-webhook.dev/certgen",
		"patch-webhookconfigure:job map[image-webhook.dev/applied:output of date +%s]",
	}
	for _, test := range []struct {
		mode string
		want []string
	}{
		{"rollout", always},
		{"sync", append([]string{
			"webhook:deployment [/supervise /image-webhook]",
			"webhook:deployment lacks livenessProbe",
			"webhook:deployment map[mountPath:/live name:live]",
			"webhook:deployment map[emptyDir:map[] name:live]",
		}, always...)},
	} {
		t.Run(test.mode, func(t *testing.T) {
			made := evaluated(t, modes[slices.Index([]string{"rollout", "sync"}, test.mode)].options)
			before := map[string]*unstructured.Unstructured{}
			for _, object := range written(t) {
				before[identity(object)] = object
			}
			var got []string
			for _, object := range made.objects {
				got = append(got, changes(identity(object), before[identity(object)].Object, object.Object)...)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("changes differ (-want +got):\n%s", diff)
			}
		})
	}
}

// changes are the values that became others, or are new, each with its object's name.
func changes(name string, before, after any) (found []string) {
	switch after := after.(type) {
	case map[string]any:
		before, _ := before.(map[string]any)
		for key := range before {
			if _, kept := after[key]; !kept {
				found = append(found, name+" lacks "+key)
			}
		}
		for key, value := range after {
			if old, had := before[key]; had {
				found = append(found, changes(name, old, value)...)
				if text, ok := value.(string); ok && !cmp.Equal(old, value) {
					found[len(found)-1] = name + " " + key + ": " + text
				}
			} else {
				found = append(found, fmt.Sprint(name, " ", value))
			}
		}
		return slices.Compact(found)
	case []any:
		before, _ := before.([]any)
		if _, words := after[0].(string); words || len(after) < len(before) {
			break // told as a whole
		}
		for i, value := range after[:len(before)] {
			found = append(found, changes(name, before[i], value)...)
		}
		for _, value := range after[len(before):] {
			found = append(found, fmt.Sprint(name, " ", value))
		}
		return found
	}
	if cmp.Equal(before, after) {
		return nil
	}
	return []string{fmt.Sprint(name, " ", after)}
}
