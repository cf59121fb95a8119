package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
)

// own is a placeholder for the name of the requester.
const own = "OWN"

// creation is a request of the matrix that creates a namespace.
type creation struct {
	title    string
	sent     ownership // the owner may be the placeholder own
	labels   map[string]string
	generate bool // uses generateName
	dryRun   bool
	applies  int // number of server-side applies; 0: the request is a POST
}

var creations = []creation{
	{title: "create"},
	{title: "create with its own owner", sent: ownership{Owner: own}},
	{title: "create with another owner", sent: ownership{Owner: anotherOwner}},
	{title: "create with tenancy pending", sent: ownership{Tenancy: "pending"}},
	{title: "create with tenancy ready", sent: ownership{Tenancy: "ready"}},
	{title: "create with its own owner and tenancy ready", sent: ownership{own, "ready"}},
	// Trap: the webhooks' selectors see the forged name, because the API server corrects the
	// label only when it stores the namespace.
	{title: "create with generateName and the forged name kube-system", labels: map[string]string{corev1.LabelMetadataName: "kube-system"}, generate: true},
	{title: "create with generateName, a forged name and another owner", sent: ownership{Owner: anotherOwner}, labels: map[string]string{corev1.LabelMetadataName: "kube-system"}, generate: true},
	// Trap: projectcapsule/capsule#1300, AKS exempts namespaces with this label from webhooks.
	{title: "create with the label control-plane", labels: map[string]string{"control-plane": "true"}},
	{title: "create with the label control-plane and another owner", sent: ownership{Owner: anotherOwner}, labels: map[string]string{"control-plane": "true"}},
	{title: "dry-run create", dryRun: true},
	{title: "dry-run create with another owner", sent: ownership{Owner: anotherOwner}, dryRun: true},
	{title: "server-side apply", applies: 1},
	{title: "server-side apply with another owner", sent: ownership{Owner: anotherOwner}, applies: 1},
	// Trap: kubernetes/kubernetes#129960, a value that a webhook sets must neither conflict
	// with the next apply nor be removed by it.
	{title: "repeated server-side apply", applies: 3},
	{title: "repeated server-side apply with its own owner", sent: ownership{Owner: own}, applies: 3},
}

// run sends the request as r and returns its outcome.
func (request creation) run(t *testing.T, s *ownerServer, c clientset.Interface, r requester) ownerResult {
	t.Helper()
	if request.sent.Owner == own {
		request.sent.Owner = r.user
	}
	stored, refused := r.createOutcome(request.sent)
	result := ownerResult{want: stored, sent: request.sent, refused: refused}
	name := newName("created")
	created, err := request.send(t.Context(), c, name)
	result.err = err
	if err != nil {
		result.unexpected = request.checkAbsent(t, s, name)
		return result
	}
	if request.dryRun {
		result.got, result.unexpected = ownershipOf(created), request.checkAbsent(t, s, name)
		return result
	}
	found := s.get(t, created.Name)
	result.got = ownershipOf(found)
	if found.Labels[corev1.LabelMetadataName] != found.Name {
		result.unexpected = fmt.Sprintf("label %s is %q, want %q", corev1.LabelMetadataName, found.Labels[corev1.LabelMetadataName], found.Name)
	}
	return result
}

// checkAbsent returns a text if a namespace exists.
func (request creation) checkAbsent(t *testing.T, s *ownerServer, name string) string {
	t.Helper()
	if _, err := s.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Sprintf("namespace %s: got error %v, want NotFound", name, err)
	}
	return ""
}

// send sends the request. Each repeated apply must succeed and change nothing.
func (request creation) send(ctx context.Context, c clientset.Interface, name string) (created *corev1.Namespace, err error) {
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: request.sent.meta(name)}
	maps.Copy(namespace.Labels, request.labels)
	var dryRun []string
	if request.dryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	if request.applies == 0 {
		if request.generate {
			namespace.Name, namespace.GenerateName = "", name+"-"
		}
		return c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{DryRun: dryRun})
	}
	for i := range request.applies {
		applied, err := applyNamespace(ctx, c, namespace, "", false)
		if err != nil {
			return nil, err
		}
		if i > 0 && applied.ResourceVersion != created.ResourceVersion {
			return nil, errors.New("a repeated server-side apply has changed the namespace")
		}
		created = applied
	}
	return created, nil
}

// applyNamespace sends a server-side apply of the metadata of a namespace, to a subresource
// unless it is empty.
func applyNamespace(ctx context.Context, c clientset.Interface, n *corev1.Namespace, subresource string, force bool) (*corev1.Namespace, error) {
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": n.Name, "annotations": n.Annotations, "labels": n.Labels},
	})
	if err != nil {
		return nil, err
	}
	return patchNamespace(ctx, c, n.Name, types.ApplyPatchType, manifest, metav1.PatchOptions{FieldManager: "test", Force: &force}, subresource)
}

func patchNamespace(ctx context.Context, c clientset.Interface, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresource string) (*corev1.Namespace, error) {
	var subresources []string
	if subresource != "" {
		subresources = append(subresources, subresource)
	}
	return c.CoreV1().Namespaces().Patch(ctx, name, kind, patch, o, subresources...)
}

// change is a change of the metadata of a namespace.
type change struct {
	title   string
	owner   *string // the new owner, which may be the placeholder own; nil: unchanged
	tenancy *string
	label   bool // also adds a label that is not about the feature
	removes bool // removes the annotation or the label
}

var changes = []change{
	{title: "become the owner", owner: new(own)},
	{title: "set another owner", owner: new("bob")},
	// Trap: CVE-2022-46167.
	{title: "remove the owner", owner: new(""), removes: true},
	// Trap: CVE-2025-55205, a namespace is taken by its labels.
	{title: "set tenancy ready", tenancy: new("ready")},
	{title: "set tenancy pending", tenancy: new("pending")},
	{title: "remove the tenancy", tenancy: new(""), removes: true},
	{title: "remove both", owner: new(""), tenancy: new(""), removes: true},
	{title: "add an unrelated label", label: true},
}

// writeWay is a way to write the metadata of a namespace.
type writeWay struct {
	title        string
	cannotRemove bool
	send         func(ctx context.Context, c clientset.Interface, before, after *corev1.Namespace) (*corev1.Namespace, error)
}

// Trap: GHSA-2ww6-hf35-mfjm, the subresources status and finalize also write the metadata.
var writeWays = []writeWay{
	{"update", false, func(ctx context.Context, c clientset.Interface, _, after *corev1.Namespace) (*corev1.Namespace, error) {
		return c.CoreV1().Namespaces().Update(ctx, after, metav1.UpdateOptions{})
	}},
	{"update of status", false, func(ctx context.Context, c clientset.Interface, _, after *corev1.Namespace) (*corev1.Namespace, error) {
		return c.CoreV1().Namespaces().UpdateStatus(ctx, after, metav1.UpdateOptions{})
	}},
	{"update of finalize", false, func(ctx context.Context, c clientset.Interface, _, after *corev1.Namespace) (*corev1.Namespace, error) {
		return c.CoreV1().Namespaces().Finalize(ctx, after, metav1.UpdateOptions{})
	}},
	{"JSON patch", false, jsonPatchTo("")},
	{"JSON patch of status", false, jsonPatchTo("status")},
	{"server-side apply", true, applyTo("")},
	{"server-side apply of status", true, applyTo("status")},
}

// jsonPatchTo returns a function that replaces the annotations and the labels.
func jsonPatchTo(subresource string) func(context.Context, clientset.Interface, *corev1.Namespace, *corev1.Namespace) (*corev1.Namespace, error) {
	return func(ctx context.Context, c clientset.Interface, _, after *corev1.Namespace) (*corev1.Namespace, error) {
		patch, err := json.Marshal([]map[string]any{
			{"op": "add", "path": "/metadata/annotations", "value": after.Annotations},
			{"op": "add", "path": "/metadata/labels", "value": after.Labels},
		})
		if err != nil {
			return nil, err
		}
		return patchNamespace(ctx, c, after.Name, types.JSONPatchType, patch, metav1.PatchOptions{}, subresource)
	}
}

// applyTo returns a function that applies the annotations and labels that differ.
func applyTo(subresource string) func(context.Context, clientset.Interface, *corev1.Namespace, *corev1.Namespace) (*corev1.Namespace, error) {
	return func(ctx context.Context, c clientset.Interface, before, after *corev1.Namespace) (*corev1.Namespace, error) {
		different := func(before, after map[string]string) map[string]string {
			result := maps.Clone(after)
			maps.DeleteFunc(result, func(key, value string) bool { return before[key] == value })
			return result
		}
		applied := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: after.Name, Annotations: different(before.Annotations, after.Annotations), Labels: different(before.Labels, after.Labels),
		}}
		return applyNamespace(ctx, c, applied, subresource, true)
	}
}

// run sends the change as r and returns its outcome. Afterwards, the namespace is as before.
func (change change) run(t *testing.T, s *ownerServer, c clientset.Interface, r requester, n *sharedNamespace, way writeWay) ownerResult {
	t.Helper()
	sent := ownershipOf(n.original)
	want := sent
	if change.owner != nil {
		want.Owner = *change.owner
		if want.Owner == own {
			want.Owner = r.user
		}
	}
	if change.tenancy != nil {
		want.Tenancy = *change.tenancy
	}
	after := n.original.DeepCopy()
	after.ResourceVersion = "" // other cases may have changed and restored it
	want.write(&after.ObjectMeta)
	if change.label {
		after.Labels["team"] = "a"
	}
	result := ownerResult{sent: sent, want: want, refused: r.refuseUpdate(after.Name, sent, want, change.label)}
	stored, err := way.send(t.Context(), c, n.original, after)
	result.err = err
	if err != nil {
		stored = n.mustBeUnchanged(t, s)
	}
	result.got = ownershipOf(stored)
	if result.refused != nil {
		result.want = sent
	}
	if hasLabel := stored.Labels["team"] == "a"; hasLabel != (change.label && result.refused == nil) {
		result.unexpected = fmt.Sprintf("the unrelated label is stored: %t", hasLabel)
	}
	n.restore(t, s, stored)
	return result
}

// sharedNamespace is a namespace that the updates of a requester and a state share.
type sharedNamespace struct {
	original *corev1.Namespace
	version  string // the resourceVersion after the last change
}

// mustBeUnchanged checks that a refused request has not changed the namespace, and returns it.
func (n *sharedNamespace) mustBeUnchanged(t *testing.T, s *ownerServer) *corev1.Namespace {
	t.Helper()
	found := s.get(t, n.original.Name)
	if found.ResourceVersion != n.version {
		t.Error("a refused request has changed the namespace")
	}
	return found
}

// restore writes the metadata of the namespace as it was, if it has changed.
func (n *sharedNamespace) restore(t *testing.T, s *ownerServer, stored *corev1.Namespace) {
	t.Helper()
	n.version = stored.ResourceVersion
	if ownershipOf(n.original) == ownershipOf(stored) && maps.Equal(n.original.Labels, stored.Labels) {
		return
	}
	restored := n.original.DeepCopy()
	restored.ResourceVersion = ""
	restored, err := s.client.CoreV1().Namespaces().Update(t.Context(), restored, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.version = restored.ResourceVersion
}
