package integration

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
)

// The users of the guard's tests. All have every right.
const (
	namedAdmin     = "alice, the admin"
	otherAdmin     = "mallory"
	renewUser      = "system:serviceaccount:image-webhook:renew"
	collector      = "system:serviceaccount:kube-system:generic-garbage-collector"
	probeNamespace = "image-webhook-probe"
	cleaner        = "system:serviceaccount:kube-system:namespace-controller"
)

// The resources that the guard protects, besides validatingConfigurations.
var (
	mutatingConfigurations = admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	admissionPolicies      = admissionregistrationv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies")
	admissionBindings      = admissionregistrationv1.SchemeGroupVersion.WithResource("validatingadmissionpolicybindings")
	mutatingPolicies       = admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingadmissionpolicies")
	mutatingBindings       = admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingadmissionpolicybindings")
	cronJobs               = batchv1.SchemeGroupVersion.WithResource("cronjobs")
)

// startGuardedServer starts an API server with the guard, the registrations of deploy, and policies in the API.
func startGuardedServer(t *testing.T) *staticServer {
	t.Helper()
	s := &staticServer{files: t.TempDir()}
	flags := staticFlags(t, s.files)
	s.writeFiles(t, staticPolicy, "--static-admin="+namedAdmin)
	var err error
	s.testServer, err = startServerWith(apiserver.Options{
		Flags:       func(string) (map[string][]string, error) { return flags, nil },
		Controllers: []string{"namespace-controller", "garbage-collector-controller"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	for _, namespace := range []string{"image-webhook", probeNamespace, "other"} {
		if _, err := s.createNamespace(t.Context(), metav1.ObjectMeta{Name: namespace}); err != nil {
			t.Fatal(err)
		}
	}
	s.createObjects(t, policyObjects(t, runPolicy(t, matrixPolicy, "--for=1.36")))
	for _, file := range deploy.Files() {
		s.createRegistrations(t, file.Content)
	}
	return s
}

// createRegistrations creates the webhook configurations of a manifest, the CronJob, and copies with other names.
func (s *staticServer) createRegistrations(t *testing.T, manifest string) {
	t.Helper()
	documents, err := deploy.Documents(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			t.Fatal(err)
		}
		switch object.GetKind() {
		case "ValidatingWebhookConfiguration":
			s.create(t, validatingConfigurations, object)
			s.create(t, validatingConfigurations, named(object, "other-"+object.GetName()))
		case "MutatingWebhookConfiguration":
			s.create(t, mutatingConfigurations, object)
		case "CronJob":
			s.create(t, cronJobs, object)
			s.create(t, cronJobs, named(object, "other"))
			other := named(object, object.GetName())
			other.SetNamespace("other")
			s.create(t, cronJobs, other)
		}
	}
}

func named(object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	object = object.DeepCopy()
	object.SetName(name)
	return object
}

func (s *staticServer) create(t *testing.T, resource schema.GroupVersionResource, object *unstructured.Unstructured) {
	t.Helper()
	if _, err := s.objects.Resource(resource).Namespace(object.GetNamespace()).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// guardCase is a request of a user. The patch is empty if the request deletes the object.
type guardCase struct {
	name, user string
	resource   schema.GroupVersionResource
	object     string
	namespace  string
	patch      string
	refused    bool
}

const (
	unchangedPatch = `{"metadata":{"labels":{"team":"a"},"finalizers":["example.com/x"],"annotations":{"note":"b"}}}`
	ownerPatch     = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`
	bundlePatch    = `[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJjRENDQVJhZ0F3SUJBZ0lCQVRBS0JnZ3Foa2pPUFFRREFqQUFNQjRYRFRJMk1ERXdNVEF3TURBd01Gb1gKRFRNMk1ERXdNVEF3TURBd01Gb3dBREJaTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSEEwSUFCRlYzCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"}]`
	failPatch      = `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]`
	ignorePatch    = `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`
	rulesPatch     = `[{"op":"replace","path":"/webhooks/0/rules/0/resources","value":["configmaps"]}]`
	urlPatch       = `[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"https://127.0.0.1/x"}}]`
	emptyPatch     = `{"webhooks":[]}`
)

var guardCases = []guardCase{
	{name: "deletes a registration", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook", refused: true},
	{name: "deletes the warnings", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook-warnings", refused: true},
	{name: "deletes the mutating registration", user: otherAdmin, resource: mutatingConfigurations, object: "image-webhook", refused: true},
	{name: "deletes a policy", user: otherAdmin, resource: admissionPolicies, object: "image-webhook", refused: true},
	{name: "deletes a binding", user: otherAdmin, resource: admissionBindings, object: "image-webhook-warn", refused: true},
	{name: "deletes a mutating policy", user: otherAdmin, resource: mutatingPolicies, object: "image-webhook", refused: true},
	{name: "deletes a mutating binding", user: otherAdmin, resource: mutatingBindings, object: "image-webhook", refused: true},
	{name: "deletes the CronJob", user: otherAdmin, resource: cronJobs, object: "renew", namespace: "image-webhook", refused: true},
	{name: "suspends the CronJob", user: otherAdmin, resource: cronJobs, object: "renew", namespace: "image-webhook", patch: `{"spec":{"suspend":true}}`, refused: true},
	{name: "removes the webhooks", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook", patch: emptyPatch, refused: true},
	{name: "sets Fail", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook", patch: failPatch, refused: true},
	{name: "unbinds a policy", user: otherAdmin, resource: admissionBindings, object: "image-webhook", patch: `{"spec":{"validationActions":["Audit"]}}`, refused: true},
	{name: "sets an owner that does not exist", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook", patch: ownerPatch, refused: true},
	{name: "sets labels", user: otherAdmin, resource: validatingConfigurations, object: "image-webhook", patch: unchangedPatch},
	{name: "changes nothing", user: otherAdmin, resource: cronJobs, object: "renew", namespace: "image-webhook", patch: `{}`},
	{name: "deletes the registration of another program", user: otherAdmin, resource: validatingConfigurations, object: "other-image-webhook"},
	{name: "deletes another CronJob", user: otherAdmin, resource: cronJobs, object: "other", namespace: "image-webhook"},
	{name: "deletes a CronJob in another namespace", user: otherAdmin, resource: cronJobs, object: "renew", namespace: "other"},
	{name: "deletes a registration", user: namedAdmin, resource: validatingConfigurations, object: "image-webhook"},
	{name: "deletes a binding", user: namedAdmin, resource: admissionBindings, object: "image-webhook"},
	{name: "deletes the CronJob", user: namedAdmin, resource: cronJobs, object: "renew", namespace: "image-webhook"},
	{name: "changes a registration", user: namedAdmin, resource: validatingConfigurations, object: "image-webhook", patch: emptyPatch},
	{name: "sets Fail", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: failPatch},
	{name: "sets the CA", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: bundlePatch},
	{name: "sets Ignore for a webhook on Fail", user: renewUser, resource: mutatingConfigurations, object: "image-webhook", patch: ignorePatch, refused: true},
	{name: "sets other rules", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: rulesPatch, refused: true},
	{name: "sets another server", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: urlPatch, refused: true},
	{name: "removes the webhooks", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: emptyPatch, refused: true},
	{name: "sets an owner that does not exist", user: renewUser, resource: validatingConfigurations, object: "image-webhook", patch: ownerPatch, refused: true},
	{name: "deletes a registration", user: renewUser, resource: validatingConfigurations, object: "image-webhook", refused: true},
	{name: "suspends the CronJob", user: renewUser, resource: cronJobs, object: "renew", namespace: "image-webhook", patch: `{"spec":{"suspend":true}}`, refused: true},
	{name: "deletes a registration", user: collector, resource: validatingConfigurations, object: "image-webhook"},
	{name: "deletes the CronJob", user: cleaner, resource: cronJobs, object: "renew", namespace: "image-webhook"},
}

// run sends the request as a dry run.
func (c guardCase) run(t *testing.T, s *staticServer) error {
	t.Helper()
	client, err := dynamic.NewForConfig(s.As(c.user, "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	objects := client.Resource(c.resource).Namespace(c.namespace)
	dryRun := []string{metav1.DryRunAll}
	if c.patch == "" {
		return objects.Delete(t.Context(), c.object, metav1.DeleteOptions{DryRun: dryRun})
	}
	patchType := types.MergePatchType
	if strings.HasPrefix(c.patch, "[") {
		patchType = types.JSONPatchType
	}
	_, err = objects.Patch(t.Context(), c.object, patchType, []byte(c.patch), metav1.PatchOptions{DryRun: dryRun})
	return err
}

func TestGuardProtectsOnlyTheObjectsOfImageWebhook(t *testing.T) {
	t.Parallel()
	s := startGuardedServer(t)
	s.waitForState(t, "judges")
	t.Run("probes", s.checkProbes)
	// The webhook that mirrors is on Fail, so that a case can try to set Ignore.
	fail := guardCase{resource: mutatingConfigurations, object: "image-webhook", patch: failPatch}
	if _, err := s.as(t, namedAdmin).Resource(fail.resource).Patch(t.Context(), fail.object, types.JSONPatchType, []byte(failPatch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range guardCases {
		t.Run(c.user+" "+c.name, func(t *testing.T) {
			err := c.run(t, s)
			const refusal = " is protected by files on the control-plane nodes: ask " + namedAdmin
			if refused := err != nil && strings.HasSuffix(err.Error(), " "+c.object+refusal); refused != c.refused || !refused && err != nil {
				t.Errorf("refused %t, want %t: %v", refused, c.refused, err)
			}
		})
	}
	t.Run("deletes a collection", s.checkDeleteCollection)
	t.Run("deletes the namespace", s.checkDeleteNamespace)
}

// as returns a client of a user with every right.
func (s *staticServer) as(t *testing.T, user string) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(s.As(user, "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// checkProbes creates pods as the Jobs do, and as other users. Only the Jobs get the verdict of the webhook, and only
// in one namespace.
func (s *staticServer) checkProbes(t *testing.T) {
	for _, tt := range []struct {
		user, namespace string
		denied          bool
	}{{renewUser, probeNamespace, false}, {renewUser, "other", true}, {otherAdmin, probeNamespace, true}} {
		pod := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "probe"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "probe", "image": "image-webhook.dev/Probe"}}},
		}}
		_, err := s.as(t, tt.user).Resource(pods).Namespace(tt.namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if denied := apierrors.IsForbidden(err); denied != tt.denied || !denied && err != nil {
			t.Errorf("%s in %s: denied %t, want %t: %v", tt.user, tt.namespace, denied, tt.denied, err)
		}
	}
}

// checkDeleteCollection deletes all registrations with one request, which has no name.
func (s *staticServer) checkDeleteCollection(t *testing.T) {
	client := s.as(t, otherAdmin).Resource(validatingConfigurations)
	if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err == nil {
		t.Error("the request was not refused")
	}
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.GetName())
	}
	for _, name := range []string{"image-webhook", "image-webhook-warnings"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among %q", name, names)
		}
	}
}

// checkDeleteNamespace deletes the namespace of the CronJob, whose controller deletes the CronJob.
func (s *staticServer) checkDeleteNamespace(t *testing.T) {
	namespaces := s.as(t, otherAdmin).Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	if err := namespaces.Delete(t.Context(), "image-webhook", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, "image-webhook", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.Fatal("the namespace still exists:", err)
	}
}
