package integration

import (
	"context"
	"encoding/json"
	"net"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
)

const mutatingOwnerConfiguration = "image-webhook-namespace-owner"

const noOwnerMessage = "the namespace has no owner, because image-webhook did not answer: try again in a moment"

// testOutage stops the webhook. Instead, a program counts the API server's connections and closes
// them. Trap: projectcapsule/capsule#1135 and #2036, a webhook that does not answer locks
// administrators out.
func (r *replicas) testOutage(t *testing.T) {
	if err := r.installed.Stop(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.installed.Restart(suiteContext); err != nil {
			t.Error(err)
		}
		waitUntil(t, "the webhook answers again", func() bool {
			_, err := createNamespaceAs(t.Context(), r.mustAs("alice", creators), ownership{}.meta(newName("after")))
			return err == nil
		})
	}()
	connections := r.countConnections(t)
	for user, groups := range map[string][]string{"alice": {creators}, "system:serviceaccount:ci:builder": {creators}} {
		before := connections.Load()
		for named, message := range map[string]string{"": noOwnerMessage, user: noOwnerMessage, "bob": `cannot create a namespace with the owner "bob"`} {
			_, err := createNamespaceAs(t.Context(), r.mustAs(user, groups...), ownership{Owner: named}.meta(newName("outage")))
			mustBeDenied(t, err, message)
		}
		if connections.Load() == before {
			t.Errorf("%s: the API server did not call the webhook", user)
		}
	}
	// A user who sets both values needs no webhook.
	if _, err := createNamespaceAs(t.Context(), r.mustAs("alice", creators), ownership{"alice", "pending"}.meta(newName("outage"))); err != nil {
		t.Error(err)
	}
	if created, err := createNamespaceAs(t.Context(), r.mustAs("carol", writers, stewards), ownership{Owner: "bob"}.meta(newName("outage"))); err != nil || ownershipOf(created) != (ownership{Owner: "bob"}) {
		t.Errorf("a user with set-owner who chooses an owner: got error %v", err)
	}
	before := connections.Load()
	for user, groups := range map[string][]string{
		"kubernetes-admin": {mastersGroup}, "system:serviceaccount:kube-system:operator": {writers},
		"system:kube-controller-manager": {writers}, "carol": {writers, stewards}, "root": {admins},
	} {
		if err := r.useNamespaces(t.Context(), r.mustAs(user, groups...), newName("outage")); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	existing := r.namespace(t, nil)
	if _, err := patchNamespace(t.Context(), r.mustAs("erin", writers), existing, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}, ""); err != nil {
		t.Errorf("a user changes a label: %v", err)
	}
	if err := r.mustAs("erin", writers).CoreV1().Namespaces().Delete(t.Context(), existing, metav1.DeleteOptions{}); err != nil {
		t.Errorf("a user deletes a namespace: %v", err)
	}
	if got := connections.Load(); got != before {
		t.Errorf("the API server called the webhook %d times, want 0", got-before)
	}
}

func createNamespaceAs(ctx context.Context, c clientset.Interface, meta metav1.ObjectMeta) (*corev1.Namespace, error) {
	return c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
}

// useNamespaces creates, changes and deletes a namespace.
func (r *replicas) useNamespaces(ctx context.Context, c clientset.Interface, name string) error {
	if _, err := createNamespaceAs(ctx, c, ownership{}.meta(name)); err != nil {
		return err
	}
	if _, err := patchNamespace(ctx, c, name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+ownerAnnotation+`":"bob"}}}`), metav1.PatchOptions{}, ""); err != nil {
		return err
	}
	return c.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
}

// countConnections connects the Service of the webhook to a program that counts connections and
// closes them.
func (r *replicas) countConnections(t *testing.T) *atomic.Int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	service, err := r.client.CoreV1().Services("image-webhook").Get(t.Context(), "webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{service.Spec.ClusterIP, "webhook.image-webhook.svc"} {
		r.Services.Route(net.JoinHostPort(host, "443"), l.Addr().String())
	}
	var count atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			count.Add(1)
			c.Close()
		}
	}()
	return &count
}

// testSkippedWebhook adds selectors to the configuration of the webhook.
func (r *replicas) testSkippedWebhook(t *testing.T) {
	for what, test := range map[string]struct {
		requirement metav1.LabelSelectorRequirement
		labels      map[string]string
	}{
		// Trap: projectcapsule/capsule#1300.
		"AKS adds its selector": {
			metav1.LabelSelectorRequirement{Key: "control-plane", Operator: metav1.LabelSelectorOpDoesNotExist},
			map[string]string{"control-plane": "true"},
		},
		// Trap: a namespace with generateName and this label skips a selector by name.
		"the name is forged": {
			metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}},
			map[string]string{corev1.LabelMetadataName: "kube-system"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			r.selectNamespaces(t, &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{test.requirement}})
			defer r.selectNamespaces(t, &metav1.LabelSelector{})
			skipped := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "skipped-", Labels: test.labels}}
			var err error
			waitUntil(t, "the API server skips the webhook", func() bool {
				_, err = r.mustAs("alice", creators).CoreV1().Namespaces().Create(t.Context(), skipped, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				return err != nil
			})
			mustBeDenied(t, err, noOwnerMessage)
			if _, err := createNamespaceAs(t.Context(), r.mustAs("alice", creators), ownership{}.meta(newName("selected"))); err != nil {
				t.Errorf("a namespace without the label: %v", err)
			}
		})
	}
}

// selectNamespaces sets the selector of the webhooks that write owners.
func (r *replicas) selectNamespaces(t *testing.T, selector *metav1.LabelSelector) {
	t.Helper()
	var patch []map[string]any
	for _, path := range []string{"/webhooks/0/namespaceSelector", "/webhooks/1/namespaceSelector"} {
		patch = append(patch, map[string]any{"op": "replace", "path": path, "value": selector})
	}
	content, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(t.Context(), mutatingOwnerConfiguration, types.JSONPatchType, content, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
