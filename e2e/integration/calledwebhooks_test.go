package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// calledLabel selects the namespaces of TestRequestCallsWebhooksOfMode.
const calledLabel = "integration.image-webhook.dev/called"

// request is a request of TestRequestCallsWebhooksOfMode. It creates an object, or patches an
// object that was created before the webhooks were registered.
type request struct {
	name     string
	resource schema.GroupVersionResource
	manifest string // with the placeholder NAME
	patch    string // a JSON patch of the object; if empty, the request creates the object
	// subresource is the patched subresource; it may be empty.
	subresource string
	// called contains the webhooks that the API server must call, in alphabetical order, by
	// mode of the namespace. A mode without an entry has none.
	called map[string][]string
}

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}

	onPodUpdate = map[string][]string{
		"none": {"mutating", "validating"}, "deny": {"mutating", "validating"},
		"warn": {"mutating", "warn"}, "of": {"mutating", "validating"},
	}
	onPodCreate = map[string][]string{
		"none": {"mutating", "validating"}, "deny": {"mutating", "validating"},
		"warn": {"mutating", "warn"}, "of": {"mutating", "unknown-mode", "validating"},
	}
	onWorkload = map[string][]string{"none": {"workloads"}, "deny": {"workloads"}, "warn": {"warn"}, "of": {"workloads"}}
)

// controllerReference makes a controller the owner of an object.
const controllerReference = `"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"4f2a","controller":true}],`

// withMetadata adds fields to the metadata of a manifest.
func withMetadata(manifest, fields string) string {
	return strings.Replace(manifest, `"metadata":{`, `"metadata":{`+fields, 1)
}

func workloadManifest(kind string) string {
	return `{"apiVersion":"apps/v1","kind":"` + kind + `","metadata":{"name":"NAME","labels":{"a":"b"}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` +
		strings.ReplaceAll(template, "IMAGE", allowedImage) + `}}`
}

var podManifest = inNone

var requests = []request{
	{name: "a pod", resource: pods, manifest: podManifest, called: onPodCreate},
	{name: "a controller's pod", resource: pods, manifest: withMetadata(podManifest, controllerReference), called: onPodCreate},
	{
		name: "a static pod's mirror pod", resource: pods, manifest: strings.Replace(withMetadata(podManifest, `"annotations":{"kubernetes.io/config.mirror":"4f2a"},`), `"spec":{`, `"spec":{"nodeName":"n1",`, 1),
		called: map[string][]string{"of": {"unknown-mode"}},
	},
	{
		name: "CloudNativePG's pod", resource: pods, manifest: strings.Replace(podManifest, `"a":"b"`, `"cnpg.io/podRole":"instance"`, 1),
		called: map[string][]string{"none": {"validating"}, "deny": {"validating"}, "warn": {"warn"}, "of": {"unknown-mode", "validating"}},
	},
	{name: "a label of a pod", resource: pods, manifest: podManifest, patch: labelPatch},
	{name: "a finalizer of a pod", resource: pods, manifest: podManifest, patch: `[{"op":"add","path":"/metadata/finalizers","value":["example.com/x"]}]`},
	{name: "a toleration of a pod", resource: pods, manifest: podManifest, patch: `[{"op":"add","path":"/spec/tolerations/-","value":{"key":"x","operator":"Exists"}}]`, called: map[string][]string{"warn": {"warn"}}},
	{name: "the status of a pod", resource: pods, manifest: podManifest, patch: `[{"op":"replace","path":"/status/phase","value":"Running"}]`, subresource: "status"},
	{name: "another image of a pod", resource: pods, manifest: podManifest, patch: strings.ReplaceAll("["+setImage+"]", "IMAGE", "quay.io/team/next:2"), called: onPodUpdate},
	{
		// The API server does not store the annotation through the subresource, but webhooks see it.
		name: "an ephemeral container with the annotation of a static pod's mirror pod", resource: pods, manifest: podManifest, subresource: "ephemeralcontainers",
		patch:  strings.ReplaceAll(strings.Replace(addEphemeral, "[", `[{"op":"add","path":"/metadata/annotations","value":{"kubernetes.io/config.mirror":"4f2a"}},`, 1), "IMAGE", allowedImage),
		called: onPodUpdate,
	},
	{name: "an ephemeral container", resource: pods, manifest: podManifest, patch: strings.ReplaceAll(addEphemeral, "IMAGE", allowedImage), subresource: "ephemeralcontainers", called: onPodUpdate},
	{name: "a Deployment", resource: deployments, manifest: workloadManifest("Deployment"), called: onWorkload},
	{name: "the size of a Deployment", resource: deployments, manifest: workloadManifest("Deployment"), patch: `[{"op":"replace","path":"/spec/replicas","value":3}]`, called: onWorkload},
	{name: "the scale of a Deployment", resource: deployments, manifest: workloadManifest("Deployment"), patch: `[{"op":"replace","path":"/spec/replicas","value":3}]`, subresource: "scale"},
	{name: "a label of a Deployment", resource: deployments, manifest: workloadManifest("Deployment"), patch: labelPatch},
	{name: "a controller's ReplicaSet", resource: replicaSets, manifest: withMetadata(workloadManifest("ReplicaSet"), controllerReference)},
	{
		name: "a ReplicaSet with an owner that is not a controller", resource: replicaSets,
		manifest: withMetadata(workloadManifest("ReplicaSet"), strings.Replace(controllerReference, `"controller":true`, `"controller":false`, 1)), called: onWorkload,
	},
	{
		name: "a ConfigMap", resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		manifest: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"}}`,
	},
}

// TestRequestCallsWebhooksOfMode uses the rules, selectors and conditions of the
// configurations in 05, with a recorder instead of the webhook's server.
func TestRequestCallsWebhooksOfMode(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	recorder := startOtherWebhook(t, nil)
	namespaces := map[string]string{}
	for _, nsMode := range modes {
		labels := map[string]string{calledLabel: "yes"}
		for key, value := range nsMode.labels() {
			labels[key] = value
		}
		namespaces[nsMode.name] = server.namespace(t, labels)
	}
	for i, test := range requests { // before the recorder is registered
		for _, namespace := range namespaces {
			if test.patch != "" {
				server.send(t, test, namespace, fmt.Sprintf("called-%d", i), "") // the object that it patches
			}
		}
	}
	server.copyConfigurations(t, recorder)
	waitUntil(t, "the API server calls the recorder", func() bool {
		_, err := server.dryRun(t, newPod(namespaces["of"], "probe", allowedImage))
		return err == nil && len(recorder.calledNames(namespaces["of"], "probe")) == 3
	})
	for i, test := range requests {
		for _, nsMode := range modes {
			t.Run(test.name+"/"+nsMode.name, func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("called-%d", i)
				namespace := namespaces[nsMode.name]
				server.send(t, test, namespace, name, test.patch)
				if diff := cmp.Diff(test.called[nsMode.name], recorder.calledNames(namespace, name)); diff != "" {
					t.Errorf("called webhooks differ (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// send creates the object of a request, or patches it if patch is not empty.
func (s *testServer) send(t *testing.T, test request, namespace, name, patch string) {
	t.Helper()
	resource := s.objects.Resource(test.resource).Namespace(namespace)
	var err error
	if patch != "" {
		_, err = patchObject(t.Context(), resource, name, []byte(patch), test.subresource)
	} else {
		_, err = createObject(t.Context(), resource, []byte(strings.ReplaceAll(test.manifest, "NAME", name)))
	}
	if err != nil {
		t.Fatalf("send request %q: %v", test.name, err)
	}
}

// copyConfigurations registers copies of the installed webhooks that call the recorder,
// for the namespaces with calledLabel.
func (s *testServer) copyConfigurations(t *testing.T, recorder *otherWebhook) {
	t.Helper()
	validating, mutating := s.configurations(t)
	for _, configuration := range validating {
		for i := range configuration.Webhooks {
			w := &configuration.Webhooks[i]
			redirect(&w.ClientConfig, w.NamespaceSelector, w.Name, recorder)
		}
		configuration.ObjectMeta = metav1.ObjectMeta{Name: "called-" + configuration.Name}
		s.registerValidating(t, &configuration)
	}
	for _, configuration := range mutating {
		for i := range configuration.Webhooks {
			w := &configuration.Webhooks[i]
			redirect(&w.ClientConfig, w.NamespaceSelector, w.Name, recorder)
		}
		configuration.ObjectMeta = metav1.ObjectMeta{Name: "called-" + configuration.Name}
		s.registerMutating(t, &configuration)
	}
}

// redirect makes a webhook call the recorder, at a path with the webhook's name, and only
// for the namespaces with calledLabel.
func redirect(config *admissionregistrationv1.WebhookClientConfig, namespaces *metav1.LabelSelector, name string, recorder *otherWebhook) {
	name, _, _ = strings.Cut(name, ".")
	*config = recorder.client("/" + name)
	namespaces.MatchLabels = map[string]string{calledLabel: "yes"}
}

// calledNames returns the names of the redirected webhooks that were called for an object,
// in alphabetical order.
func (w *otherWebhook) calledNames(namespace, name string) []string {
	var names []string
	for _, call := range w.calls(namespace, name) {
		names = append(names, strings.TrimPrefix(call.path, "/"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
