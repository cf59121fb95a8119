package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// kustomize is what `kubectl apply -k` would apply, by the kubectl of the tests.
func kustomize(t *testing.T, folder string) []object {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	if err := programs.Build(t.Context(), progress.New(os.Stderr), "kubectl"); err != nil {
		t.Fatal(err)
	}
	built, err := subprocess.Command{Args: []string{programs.Path("kubectl"), "kustomize", folder}}.Output(t.Context())
	if err != nil {
		subprocess.Print(os.Stderr, "kustomize", err)
		t.FailNow()
	}
	return loadFile(t, deploy.File{Name: folder, Content: built})
}

// typed are the objects without the files that they came from.
func typed(objects []object) (found []runtime.Object) {
	for _, o := range objects {
		found = append(found, o.typed)
	}
	return found
}

// oneSpace leaves out of a condition what kustomize adds to it: empty lines.
var oneSpace = cmp.Transformer("oneSpace", func(c admissionregistrationv1.MatchCondition) [2]string {
	return [2]string{c.Name, strings.Join(strings.Fields(c.Expression), " ")}
})

func TestKustomizedAreTheNumberedFiles(t *testing.T) {
	if diff := cmp.Diff(typed(load(t)), typed(kustomize(t, ".")), oneSpace); diff != "" {
		t.Errorf("(-files +kustomization):\n%s", diff)
	}
}

// overlay matches the README's.
var overlay = regexp.MustCompile("(?s)```yaml\n(# kustomization.yaml.*?)```")

// readmeOverlay builds the overlay that the README shows.
func readmeOverlay(t *testing.T) []object {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := overlay.FindSubmatch(readme)
	if shown == nil {
		t.Fatal("README.md shows no kustomization.yaml")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mine, "kustomization.yaml"), shown[1], 0o600); err != nil {
		t.Fatal(err)
	}
	return kustomize(t, mine)
}

// The README's overlay changes the image, the mirrors and the modes, and nothing else.
func TestKustomizedOverlayChangesWhatItSays(t *testing.T) {
	want, got := load(t), readmeOverlay(t)
	for _, o := range want {
		switch made := o.typed.(type) {
		case *batchv1.Job:
			setImage(made.Spec.Template.Spec)
		case *appsv1.Deployment:
			setImage(made.Spec.Template.Spec)
			args := made.Spec.Template.Spec.Containers[0].Args
			mirrors := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--registry-mirrors=") })
			args[mirrors] = "--registry-mirrors=docker.io=mirror.example/hub"
		}
	}
	if diff := cmp.Diff(typed(withoutHooks(want)), typed(withoutHooks(got))); diff != "" {
		t.Errorf("(-files with another image and mirror +overlay):\n%s", diff)
	}
	checkWarnByDefault(t, hooksOf(got))
}

func setImage(spec corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].Image = "registry.example.com/image-webhook:v1"
		}
	}
}

func withoutHooks(objects []object) []object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return len(hooks(o)) > 0 })
}

// The component gives the namespaces without a mode the mode warn, changes no other,
// and is as safe as what it is made of.
func checkWarnByDefault(t *testing.T, all []hook) {
	t.Helper()
	const byDefault = "warn-by-default.image-webhook.dev"
	want := modes()
	for i := range want {
		if want[i].name != "no label" {
			continue
		}
		want[i].asked = map[string][]string{newPod: {byDefault, mutating}, changedPod: {byDefault, mutating}, workload: {byDefault}}
	}
	checkModes(t, all, want)
	checkLeftOut(t, all)
	named := map[string]hook{}
	for _, h := range all {
		checkBootSafe(t, h)
		named[h.Name] = h
	}
	byWarn, byNone := named[warning], named[byDefault]
	byNone.Name, byNone.NamespaceSelector = byWarn.Name, byWarn.NamespaceSelector
	if diff := cmp.Diff(byWarn, byNone, cmp.AllowUnexported(hook{}), oneSpace); diff != "" {
		t.Errorf("the two that warn differ in more than the label (-label +none):\n%s", diff)
	}
	if want := len(allHooks(t)) + 1; len(named) != want {
		t.Errorf("%d webhooks, want %d: %q", len(named), want, slices.Sorted(maps.Keys(named)))
	}
}
