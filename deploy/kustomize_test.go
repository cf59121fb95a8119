package deploy_test

import (
	"errors"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// kustomize returns the objects that `kubectl apply -k` would apply.
func kustomize(t *testing.T, dir string) []object {
	t.Helper()
	return loadFile(t, deploy.File{Name: dir, Content: kustomizeText(t, dir)})
}

// kustomizeText returns the YAML that `kubectl apply -k` would apply.
func kustomizeText(t *testing.T, dir string) string {
	t.Helper()
	built, err := kustomizeCommand(t, dir).Output(t.Context())
	if err != nil {
		subprocess.Print(os.Stderr, "kustomize", err)
		t.FailNow()
	}
	return built
}

// kustomizeCommand returns the command that prints what `kubectl apply -k` would apply.
func kustomizeCommand(t *testing.T, dir string) subprocess.Command {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	if err := programs.Build(t.Context(), progress.New(os.Stderr), "kubectl"); err != nil {
		t.Fatal(err)
	}
	return subprocess.Command{Args: []string{programs.Path("kubectl"), "kustomize", dir}}
}

// withoutFiles returns the objects without the names of their files.
func withoutFiles(objects []object) (found []runtime.Object) {
	for _, o := range objects {
		found = append(found, o.typed)
	}
	return found
}

// oneSpace removes the empty lines that kustomize adds to a condition.
var oneSpace = cmp.Transformer("oneSpace", func(c admissionregistrationv1.MatchCondition) [2]string {
	return [2]string{c.Name, strings.Join(strings.Fields(c.Expression), " ")}
})

func TestKustomizeAppliesTheNumberedManifests(t *testing.T) {
	if diff := cmp.Diff(withoutFiles(load(t)), withoutFiles(kustomize(t, ".")), oneSpace); diff != "" {
		t.Errorf("(-files +kustomization):\n%s", diff)
	}
}

// overlay matches the example overlay in docs/operations.md.
var overlay = regexp.MustCompile("(?s)```yaml\n(# kustomization.yaml.*?)```")

// documentedOverlay returns the objects of the example overlay.
func documentedOverlay(t *testing.T) []object {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	example := overlay.FindSubmatch(page)
	if example == nil {
		t.Fatal("docs/operations.md does not contain the overlay: a code block that starts with # kustomization.yaml")
	}
	return kustomizeOverlay(t, string(example[1]))
}

// kustomizeOverlay returns the objects of an overlay in a directory beside deploy/.
func kustomizeOverlay(t *testing.T, kustomization string) []object {
	t.Helper()
	return kustomize(t, writeOverlay(t, kustomization))
}

// writeOverlay writes an overlay to a directory beside a copy of deploy/, and returns it.
func writeOverlay(t *testing.T, kustomization string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	overlayDir := filepath.Join(dir, "mine")
	if err := os.Mkdir(overlayDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlayDir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	return overlayDir
}

func TestKustomizeGitOpsComponentOnlyAddsHintsForTheTools(t *testing.T) {
	want, got := load(t), kustomizeOverlay(t, "resources: [../deploy]\ncomponents: [../deploy/gitops]\nsortOptions: {order: fifo}\n")
	var configurations int
	for _, o := range want {
		switch typed := o.typed.(type) {
		case *batchv1.Job:
			typed.Spec.TTLSecondsAfterFinished = nil
			typed.Annotations = map[string]string{
				"kustomize.toolkit.fluxcd.io/force":     "enabled",
				"argocd.argoproj.io/hook":               "Sync",
				"argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
			}
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			if slices.ContainsFunc(hooks(o), func(h hook) bool { return h.Name == denying }) {
				typed.Annotations = map[string]string{"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
				configurations++
			}
		}
	}
	if configurations != 1 {
		t.Errorf("%d configurations deny, want 1", configurations)
	}
	if diff := cmp.Diff(withoutFiles(want), withoutFiles(got), oneSpace); diff != "" {
		t.Errorf("(-files with hints +component):\n%s", diff)
	}
}

// The scheme does not have the types of the Prometheus Operator.
func TestKustomizeMonitoringComponentOnlyAddsObjects(t *testing.T) {
	dir := writeOverlay(t, "resources: [../deploy]\ncomponents: [../deploy/monitoring]\nsortOptions: {order: fifo}\n")
	var want, got []string
	for _, o := range load(t) {
		want = append(want, o.key())
	}
	want = append(want, "PodMonitor image-webhook/webhook", "PrometheusRule image-webhook/webhook", "NetworkPolicy image-webhook/webhook-metrics")
	documents, err := deploy.Documents(kustomizeText(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		var o metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &o); err != nil {
			t.Fatal(err)
		}
		got = append(got, key(o.Kind, o.Namespace, o.Name))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-files and component +overlay):\n%s", diff)
	}
}

func TestKustomizeOverlayChangesOnlyItsSettings(t *testing.T) {
	want, got := load(t), documentedOverlay(t)
	for _, o := range want {
		switch typed := o.typed.(type) {
		case *batchv1.Job:
			setImage(typed.Spec.Template.Spec)
		case *batchv1.CronJob:
			setImage(typed.Spec.JobTemplate.Spec.Template.Spec)
		case *appsv1.Deployment:
			setImage(typed.Spec.Template.Spec)
		case *corev1.ConfigMap:
			typed.Data["policy.yaml"] = policyTextOf(t, got)
		}
	}
	if diff := cmp.Diff(withoutFiles(withoutHooks(want)), withoutFiles(withoutHooks(got))); diff != "" {
		t.Errorf("(-files with another image and policy +overlay):\n%s", diff)
	}
	wantPolicy := policy.ImagePolicy{
		APIVersion: policy.APIVersion, Kind: policy.Kind,
		Mirrors: []policy.Mirror{{Source: "docker.io", Mirror: "mirror.example/hub"}}, DisallowedTags: []string{"latest", "dev"},
	}
	if diff := cmp.Diff(wantPolicy, policyOf(t, got)); diff != "" {
		t.Errorf("policy (-want +overlay):\n%s", diff)
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

// checkWarnByDefault checks that namespaces without a mode are in warn, that the other
// modes do not change, and that the additional webhook is as safe as the others.
func checkWarnByDefault(t *testing.T, hooks []hook) {
	t.Helper()
	const byDefault = "warn-by-default.image-webhook.dev"
	want := modes()
	for i := range want {
		if want[i].name != "no label" {
			continue
		}
		want[i].called = map[string][]string{newPod: {byDefault, mutating}, changedPod: {byDefault, mutating}, workload: {byDefault}}
	}
	checkModes(t, hooks, want)
	checkExcluded(t, hooks)
	byName := map[string]hook{}
	for _, h := range hooks {
		checkCannotBlock(t, h)
		byName[h.Name] = h
	}
	labeled, unlabeled := byName[warning], byName[byDefault]
	unlabeled.Name, unlabeled.NamespaceSelector = labeled.Name, labeled.NamespaceSelector
	if diff := cmp.Diff(labeled, unlabeled, cmp.AllowUnexported(hook{}), oneSpace); diff != "" {
		t.Errorf("the two webhooks for warn differ in more than the selector (-label +no label):\n%s", diff)
	}
	if want := len(allHooks(t)) + 1; len(byName) != want {
		t.Errorf("%d webhooks, want %d: %q", len(byName), want, slices.Sorted(maps.Keys(byName)))
	}
}

// componentsOverlay returns an overlay with components.
func componentsOverlay(components ...string) string {
	var paths []string
	for _, name := range components {
		paths = append(paths, "../deploy/"+name)
	}
	return "resources: [../deploy]\ncomponents: [" + strings.Join(paths, ", ") + "]\nsortOptions: {order: fifo}\n"
}

func TestKustomizeOptInCoversOnlyLabeledNamespaces(t *testing.T) {
	got := kustomizeOverlay(t, componentsOverlay(deploy.OptIn))
	if diff := cmp.Diff(withoutFiles(withoutHooks(load(t))), withoutFiles(withoutHooks(got))); diff != "" {
		t.Errorf("objects without webhooks (-files +component):\n%s", diff)
	}
	want := modes()
	want[slices.IndexFunc(want, func(m mode) bool { return m.name == "no label" })].called = map[string][]string{}
	checkModes(t, hooksOf(got), want)
	checkExcluded(t, hooksOf(got))
	checkOnlyDiffer(t, hooksOf(got), func(h hook) hook { h.NamespaceSelector = nil; return h })
}

// 06 sets Fail only after a pod in this namespace was denied.
func TestComponentsCoverTheNamespaceOfTheProbe(t *testing.T) {
	for _, component := range []string{deploy.WarnByDefault, deploy.OptIn, deploy.MirrorOptOut} {
		objects := kustomizeOverlay(t, componentsOverlay(component))
		probe := slices.IndexFunc(objects, func(o object) bool { return o.key() == "Namespace /image-webhook-probe" })
		namespaceLabels := labels.Merge(objects[probe].GetLabels(), labels.Set{corev1.LabelMetadataName: objects[probe].GetName()})
		for kind, requests := range requestsOfKind() {
			if kind == newPod && !slices.Contains(webhooksFor(t, hooksOf(objects), namespaceLabels, requests[0]), denying) {
				t.Errorf("%s: %s is not called for a new pod in the namespace of the probe", component, denying)
			}
		}
	}
}

// The API server calls a webhook if its selector matches the old or the new object.
func TestKustomizeMirrorOptOutChangesOnlyWhichPodsAreRewritten(t *testing.T) {
	got := kustomizeOverlay(t, componentsOverlay(deploy.MirrorOptOut))
	if diff := cmp.Diff(withoutFiles(withoutHooks(load(t))), withoutFiles(withoutHooks(got))); diff != "" {
		t.Errorf("objects without webhooks (-files +component):\n%s", diff)
	}
	checkModes(t, hooksOf(got), modes())
	checkExcluded(t, hooksOf(got))
	checkOnlyDiffer(t, hooksOf(got), func(h hook) hook { h.ObjectSelector = nil; return h })
	for _, h := range hooksOf(got) {
		if h.Name != mutating {
			if h.ObjectSelector != nil {
				t.Errorf("%s: has an objectSelector: users could bypass the webhook with a label on the object", h.Name)
			}
			continue
		}
		selector := parse(t, h.ObjectSelector)
		for value, want := range map[string]bool{"off": false, "Off": true, "": true, "on": true} {
			if got := selector.Matches(labels.Set{mirrorLabel: value}); got != want {
				t.Errorf("%s is called for a pod with %s=%q: %t, want %t", h.Name, mirrorLabel, value, got, want)
			}
		}
		if !selector.Matches(labels.Set{"app": "web"}) {
			t.Errorf("%s is not called for a pod without the label", h.Name)
		}
	}
}

// mirrorLabel is the label of pods that the component mirror-opt-out selects.
const mirrorLabel = "image-webhook.dev/mirror"

// checkOnlyDiffer checks that webhooks are those of the files, except for the field that without
// removes, and that they cannot block the cluster.
func checkOnlyDiffer(t *testing.T, got []hook, without func(hook) hook) {
	t.Helper()
	want := allHooks(t)
	for i := range want {
		want[i] = without(want[i])
	}
	for i, h := range got {
		checkCannotBlock(t, h)
		got[i] = without(h)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hook{}), oneSpace); diff != "" {
		t.Errorf("webhooks (-files +component):\n%s", diff)
	}
}

func TestComponentsCombineUnlessTheyContradictEachOther(t *testing.T) {
	for _, tt := range []struct {
		components []string
		conflict   bool
	}{
		{[]string{deploy.OptIn, deploy.MirrorOptOut, "gitops", "monitoring"}, false},
		{[]string{deploy.MirrorOptOut, deploy.WarnByDefault, "gitops"}, false},
		{[]string{deploy.Hybrid, deploy.OptIn, deploy.MirrorOptOut, "gitops", "monitoring", "namespace-owner"}, false},
		{[]string{"namespace-owner", "monitoring", "gitops", deploy.MirrorOptOut, deploy.Hybrid, deploy.WarnByDefault}, false},
		{[]string{deploy.OptIn, deploy.Hybrid}, true}, // its bindings would cover other namespaces
		{[]string{deploy.WarnByDefault, deploy.Hybrid}, true},
		{[]string{deploy.OptIn, deploy.WarnByDefault}, true},
		{[]string{deploy.WarnByDefault, deploy.OptIn}, true},
		{[]string{deploy.OptIn, deploy.OptIn}, true},
	} {
		output := ""
		if _, err := kustomizeCommand(t, writeOverlay(t, componentsOverlay(tt.components...))).Output(t.Context()); err != nil {
			var failed *subprocess.Error
			if output = err.Error(); errors.As(err, &failed) {
				output += failed.Output
			}
		}
		const conflict = "testing value /webhooks/0/namespaceSelector/matchExpressions/1 failed"
		if !tt.conflict && output != "" || tt.conflict && !strings.Contains(output, conflict) {
			t.Errorf("%v: got %q, want a conflict: %t", tt.components, output, tt.conflict)
		}
	}
}
