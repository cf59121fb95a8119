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

// askedLabel selects the namespaces of TestAsked.
const askedLabel = "integration.image-webhook.dev/asked"

// request is a request of TestAsked: it creates an object, or changes one that was
// created before without anybody being asked.
type request struct {
	name     string
	resource schema.GroupVersionResource
	manifest string // with NAME
	patch    string // JSON patch of the object; empty: the request creates it
	sub      string // the subresource that is patched, or created with the patch as its body
	// who is asked by the mode of the namespace, in alphabetical order. A mode that is
	// not here: nobody.
	asked map[string][]string
}

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}

	forPods = map[string][]string{
		"none": {"mutating", "validating"}, "deny": {"mutating", "validating"},
		"warn": {"mutating", "warn"}, "of": {"mutating", "validating"},
	}
	forNewPods = map[string][]string{
		"none": {"mutating", "validating"}, "deny": {"mutating", "validating"},
		"warn": {"mutating", "warn"}, "of": {"mutating", "unknown-mode", "validating"},
	}
	forWorkloads = map[string][]string{"none": {"workloads"}, "deny": {"workloads"}, "warn": {"warn"}, "of": {"workloads"}}
)

// owned makes an object one of a controller's.
const owned = `"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"4f2a","controller":true}],`

// metadata is the manifest with more in its metadata.
func metadata(manifest, more string) string {
	return strings.Replace(manifest, `"metadata":{`, `"metadata":{`+more, 1)
}

func aWorkload(kind string) string {
	return `{"apiVersion":"apps/v1","kind":"` + kind + `","metadata":{"name":"NAME","labels":{"a":"b"}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` +
		strings.ReplaceAll(template, "IMAGE", other) + `}}`
}

var aPod = inNone

var requests = []request{
	{name: "a pod", resource: pods, manifest: aPod, asked: forNewPods},
	{name: "a controller's pod", resource: pods, manifest: metadata(aPod, owned), asked: forNewPods},
	{
		name: "a static pod's mirror pod", resource: pods, manifest: strings.Replace(metadata(aPod, `"annotations":{"kubernetes.io/config.mirror":"4f2a"},`), `"spec":{`, `"spec":{"nodeName":"n1",`, 1),
		asked: map[string][]string{"of": {"unknown-mode"}},
	},
	{
		name: "CloudNativePG's pod", resource: pods, manifest: strings.Replace(aPod, `"a":"b"`, `"cnpg.io/podRole":"instance"`, 1),
		asked: map[string][]string{"none": {"validating"}, "deny": {"validating"}, "warn": {"warn"}, "of": {"unknown-mode", "validating"}},
	},
	{name: "a label of a pod", resource: pods, manifest: aPod, patch: label},
	{name: "a finalizer of a pod", resource: pods, manifest: aPod, patch: `[{"op":"add","path":"/metadata/finalizers","value":["example.com/x"]}]`},
	{name: "a toleration of a pod", resource: pods, manifest: aPod, patch: `[{"op":"add","path":"/spec/tolerations/-","value":{"key":"x","operator":"Exists"}}]`, asked: map[string][]string{"warn": {"warn"}}},
	{name: "the status of a pod", resource: pods, manifest: aPod, patch: `[{"op":"replace","path":"/status/phase","value":"Running"}]`, sub: "status"},
	{name: "another image of a pod", resource: pods, manifest: aPod, patch: strings.ReplaceAll(replace(container), "IMAGE", "quay.io/team/next:2"), asked: forPods},
	{
		// The annotation is not stored by way of the subresource, but a webhook sees it.
		name: "an ephemeral container of a pod that pretends to be static", resource: pods, manifest: aPod, sub: "ephemeralcontainers",
		patch: strings.ReplaceAll(strings.Replace(addIt, "[", `[{"op":"add","path":"/metadata/annotations","value":{"kubernetes.io/config.mirror":"4f2a"}},`, 1), "IMAGE", other),
		asked: forPods,
	},
	{name: "an ephemeral container", resource: pods, manifest: aPod, patch: strings.ReplaceAll(addIt, "IMAGE", other), sub: "ephemeralcontainers", asked: forPods},
	{name: "a Deployment", resource: deployments, manifest: aWorkload("Deployment"), asked: forWorkloads},
	{name: "the size of a Deployment", resource: deployments, manifest: aWorkload("Deployment"), patch: `[{"op":"replace","path":"/spec/replicas","value":3}]`, asked: forWorkloads},
	{name: "the scale of a Deployment", resource: deployments, manifest: aWorkload("Deployment"), patch: `[{"op":"replace","path":"/spec/replicas","value":3}]`, sub: "scale"},
	{name: "a label of a Deployment", resource: deployments, manifest: aWorkload("Deployment"), patch: label},
	{name: "a controller's ReplicaSet", resource: replicaSets, manifest: metadata(aWorkload("ReplicaSet"), owned)},
	{
		name: "a ReplicaSet that somebody else owns", resource: replicaSets,
		manifest: metadata(aWorkload("ReplicaSet"), strings.Replace(owned, `"controller":true`, `"controller":false`, 1)), asked: forWorkloads,
	},
	{
		name: "a ConfigMap", resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		manifest: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"}}`,
	},
}

// Who of the webhooks in 05 is asked about what, in each mode: its rules, selectors
// and conditions as they are, with a recorder in the place of the server.
func TestAsked(t *testing.T) {
	t.Parallel()
	p := standard(t)
	recorder := startNeighbour(t, nil)
	namespaces := map[string]string{}
	for _, m := range modes {
		labels := map[string]string{askedLabel: "yes"}
		for key, value := range m.labels() {
			labels[key] = value
		}
		namespaces[m.name] = p.namespace(t, labels)
	}
	for i, r := range requests { // before anybody is asked
		for _, namespace := range namespaces {
			if r.patch != "" {
				p.send(t, r, namespace, fmt.Sprintf("asked-%d", i), "") // what it changes
			}
		}
	}
	p.copyConfigurations(t, recorder)
	eventually(t, "the recorder is asked", func() bool {
		_, err := p.try(t, newPod(namespaces["of"], "probe", other))
		return err == nil && len(recorder.hooksIn(namespaces["of"], "probe")) == 3
	})
	for i, r := range requests {
		for _, m := range modes {
			t.Run(r.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("asked-%d", i)
				namespace := namespaces[m.name]
				p.send(t, r, namespace, name, r.patch)
				if diff := cmp.Diff(r.asked[m.name], recorder.hooksIn(namespace, name)); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// send creates the request's object, or patches the one that is there.
func (p *plane) send(t *testing.T, r request, namespace, name, patch string) {
	t.Helper()
	resource := p.objects.Resource(r.resource).Namespace(namespace)
	var err error
	if patch != "" {
		_, err = patchIn(t.Context(), resource, name, []byte(patch), r.sub)
	} else {
		_, err = createIn(t.Context(), resource, []byte(strings.ReplaceAll(r.manifest, "NAME", name)))
	}
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
}

// copyConfigurations registers the webhooks that are installed once more, to ask the
// recorder, in the namespaces of askedLabel.
func (p *plane) copyConfigurations(t *testing.T, recorder *neighbour) {
	t.Helper()
	validating, mutating := p.configurations(t)
	for _, c := range validating {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			lead(&w.ClientConfig, w.NamespaceSelector, w.Name, recorder)
		}
		c.ObjectMeta = metav1.ObjectMeta{Name: "asked-" + c.Name}
		p.registerValidating(t, &c)
	}
	for _, c := range mutating {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			lead(&w.ClientConfig, w.NamespaceSelector, w.Name, recorder)
		}
		c.ObjectMeta = metav1.ObjectMeta{Name: "asked-" + c.Name}
		p.registerMutating(t, &c)
	}
}

// lead leads a webhook to the recorder, under its name, from the namespaces of
// askedLabel alone.
func lead(to *admissionregistrationv1.WebhookClientConfig, namespaces *metav1.LabelSelector, name string, recorder *neighbour) {
	name, _, _ = strings.Cut(name, ".")
	*to = recorder.client("/" + name)
	namespaces.MatchLabels = map[string]string{askedLabel: "yes"}
}

// hooksIn are the webhooks that were asked about an object, in alphabetical order.
func (n *neighbour) hooksIn(namespace, name string) []string {
	var hooks []string
	for _, q := range n.asked(namespace, name) {
		hooks = append(hooks, strings.TrimPrefix(q.path, "/"))
	}
	slices.Sort(hooks)
	return slices.Compact(hooks)
}
