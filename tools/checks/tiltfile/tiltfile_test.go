// Package tiltfile tests the Tiltfile without Tilt: it changes only the intended cluster, it
// applies the manifests in the order of deploy/, and a rollout never has fewer pods. Type
// tilt replaces Tilt.
package tiltfile

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/image-webhook/image-webhook/deploy"
)

// modes are the options for both methods of rolling out a change.
var modes = map[string]map[string]any{"rollout": {}, "sync": {"sync": true}}

func evaluateTiltfile(t *testing.T, mode string) *tilt {
	t.Helper()
	tiltfile := &tilt{context: "kind-image-webhook", options: modes[mode]}
	if err := tiltfile.evaluate(); err != nil {
		t.Fatal(err)
	}
	return tiltfile
}

func TestTiltfileRefusesOtherClustersFirst(t *testing.T) {
	harmless := []string{"define_string", "define_bool", "parse", "k8s_context", "allow_k8s_contexts", "exists", "fail"}
	for name, tt := range map[string]struct{ context, cluster, missing, want string }{
		"production cluster":           {"production", "image-webhook", "", `context "production" is not "kind-image-webhook": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=image-webhook)" first`},
		"other kind cluster":           {"kind-kind", "image-webhook", "", `context "kind-kind" is not "kind-image-webhook": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=image-webhook)" first`},
		"other cluster than --cluster": {"kind-image-webhook", "other", "", `context "kind-image-webhook" is not "kind-other": run ` + "`make tilt`" + `, or eval "$(bin/cluster env --name=other)" first`},
		"no bin/cluster":               {"kind-image-webhook", "image-webhook", "bin/cluster", "bin/cluster does not exist: run `make tilt`, which compiles it"},
	} {
		t.Run(name, func(t *testing.T) {
			refusing := &tilt{context: tt.context, options: map[string]any{"cluster": tt.cluster}, missing: tt.missing}
			if err := refusing.evaluate(); err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
			for _, call := range refusing.calls {
				if !slices.Contains(harmless, call.builtin) {
					t.Errorf("%s was called", call.builtin)
				}
			}
		})
	}
}

func TestTiltfileAllowsOnlyTheContextOfItsCluster(t *testing.T) {
	// Without allow_k8s_contexts, Tilt accepts the context of every kind cluster.
	for context, options := range map[string]map[string]any{"kind-image-webhook": {}, "kind-other": {"cluster": "other"}} {
		tiltfile := &tilt{context: context, options: options}
		if err := tiltfile.evaluate(); err != nil {
			t.Fatal(err)
		}
		if allowed := tiltfile.called("allow_k8s_contexts"); len(allowed) != 1 || allowed[0].argument != starlark.String(context) {
			t.Errorf("the context %s: calls %v", context, allowed)
		}
	}
}

func TestResourcesFollowTheOrder(t *testing.T) {
	// Tilt would apply an object without a resource immediately.
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			tiltfile := evaluateTiltfile(t, mode)
			waitsFor, owner := tiltfile.resources()
			var applied, earlier []string
			for _, object := range tiltfile.objects {
				applied = append(applied, objectName(object))
			}
			for _, file := range deploy.Files() {
				var resources []string
				for _, name := range objectNames(t, file) {
					resource := owner[name]
					if resource == "" || !slices.Contains(applied, name) {
						t.Errorf("%s: %s belongs to the resource %q, applied are %v", file.Name, name, resource, applied)
					}
					for _, needed := range earlier {
						if needed != resource && !slices.Contains(waitsFor[resource], needed) {
							t.Errorf("%s: the resource %s does not wait for %s", file.Name, resource, needed)
						}
					}
					resources = append(resources, resource)
				}
				earlier = resources
			}
		})
	}
}

// resources returns the resources that each resource waits for, and the resource of each
// object. Tilt adds a workload and its Service, which have the same name here.
func (t *tilt) resources() (waitsFor map[string][]string, owner map[string]string) {
	waitsFor, owner = map[string][]string{}, map[string]string{}
	for _, c := range t.called("k8s_resource") {
		name, isNew := c.keywords["new_name"]
		objects := c.list("objects")
		if !isNew {
			name = c.argument
			objects = append(objects, text(name)+":deployment", text(name)+":job", text(name)+":cronjob", text(name)+":service")
		}
		waitsFor[text(name)] = c.list("resource_deps")
		for _, object := range objects {
			owner[object] = text(name)
		}
	}
	return waitsFor, owner
}

// objectName returns the name that k8s_resource uses for an object.
func objectName(object *unstructured.Unstructured) string {
	return object.GetName() + ":" + strings.ToLower(object.GetKind())
}

func objectNames(t *testing.T, file deploy.File) (names []string) {
	t.Helper()
	manifest := &tilt{}
	if _, err := manifest.apply(starlark.NewList([]starlark.Value{starlark.String("deploy/" + file.Name)})); err != nil {
		t.Fatalf("%s: %v", file.Name, err)
	}
	for _, object := range manifest.objects {
		names = append(names, objectName(object))
	}
	return names
}

func TestRolloutKeepsAllPods(t *testing.T) {
	for mode := range modes {
		objects := evaluateTiltfile(t, mode).objects
		index := slices.IndexFunc(objects, func(object *unstructured.Unstructured) bool { return object.GetKind() == "Deployment" })
		got, _, err := unstructured.NestedMap(objects[index].Object, "spec", "strategy", "rollingUpdate")
		if diff := cmp.Diff(map[string]any{"maxUnavailable": int64(0), "maxSurge": "100%"}, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, rolling update (-want +got):\n%s", mode, err, diff)
		}
	}
}

func TestDemosWaitForTheUser(t *testing.T) {
	for _, c := range evaluateTiltfile(t, "rollout").called("local_resource") {
		manual := c.keywords["trigger_mode"] == starlark.String("manual") && c.keywords["auto_init"] == starlark.False
		if name := text(c.argument); manual == (name == "unit-tests") {
			t.Errorf("%s: manual is %t", name, manual)
		}
	}
}

func TestEverySourceIsWatched(t *testing.T) {
	for _, tt := range []struct{ program, mode, builtin, name string }{
		{"./webhook/cmd/certgen", "rollout", "custom_build", "image-webhook.dev/certgen"},
		{"./webhook/cmd/image-webhook", "rollout", "custom_build", "image-webhook.dev/image-webhook"},
		{"./webhook/cmd/image-webhook", "sync", "local_resource", "compile"},
		{"./tools/images/supervise", "sync", "custom_build", "image-webhook.dev/image-webhook"},
	} {
		var watched []string
		for _, c := range evaluateTiltfile(t, tt.mode).called(tt.builtin) {
			if text(c.argument) == tt.name {
				watched = c.list("deps")
			}
		}
		for _, source := range append(sources(t, tt.program), "go.mod", "go.sum") {
			if !slices.ContainsFunc(watched, func(path string) bool { return strings.HasPrefix(source+"/", path+"/") }) {
				t.Errorf("%s is built from %s, but %s watches only %v", tt.program, source, tt.name, watched)
			}
		}
	}
}

// sources returns the directories of this module that a program is built from.
func sources(t *testing.T, program string) (found []string) {
	t.Helper()
	const module = "github.com/image-webhook/image-webhook"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if dir, ours := strings.CutPrefix(pkg, module+"/"); ours {
			found = append(found, dir)
		}
	}
	return found
}
