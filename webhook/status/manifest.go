package status

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

// DefaultNamespace is the namespace of the manifests.
const DefaultNamespace = "image-webhook"

// installation is what the manifests of this version of the program install.
type installation struct {
	service        corev1.Service
	configurations []configuration // of 05
	owner          []configuration // of the optional manifests in deploy/namespace-owner
}

// manifests returns what the manifests install in a namespace.
func manifests(namespace string) installation {
	documents := webhookDocuments()
	service := decode[corev1.Service](documents[slices.IndexFunc(documents, document.isService)])
	service.Namespace = namespace
	return installation{
		service:        service,
		configurations: configurationsOf(documents, namespace),
		owner:          configurationsOf(ownerDocuments(), namespace),
	}
}

var (
	webhookDocuments = sync.OnceValue(func() []document { return documentsOf(deploy.Files()) })
	hybridDocuments  = sync.OnceValue(func() []document { return documentsOf(deploy.HybridFiles()) })
	ownerDocuments   = sync.OnceValue(func() []document { return documentsOf(deploy.NamespaceOwnerFiles()) })
)

// variant is a form of the installation with components: the configurations of 05, and in the hybrid form
// the policy.
type variant struct {
	hybrid         bool
	components     []string
	configurations []configuration
	policy         denyPolicy
}

// variants returns both forms with each combination of components, first 05 without a component.
func variants(namespace string) (all []variant) {
	for _, form := range []struct {
		hybrid    bool
		documents []document
	}{{false, webhookDocuments()}, {true, hybridDocuments()}} {
		for _, components := range [][]string{
			nil, {deploy.WarnByDefault}, {deploy.OptIn},
			{deploy.MirrorOptOut}, {deploy.WarnByDefault, deploy.MirrorOptOut}, {deploy.OptIn, deploy.MirrorOptOut},
		} {
			documents := form.documents
			for _, component := range components {
				documents = withPatches(documents, deploy.Patches(component))
			}
			all = append(all, variant{form.hybrid, components, configurationsOf(documents, namespace), denyPolicyOf(documents, namespace)})
		}
	}
	return all
}

// manifest returns the path of a manifest of the form.
func (v variant) manifest(name string) string {
	if v.hybrid {
		return deploy.Hybrid + "/" + name
	}
	return name
}

// comparison returns the comparison with 05 of the form.
func (v variant) comparison() comparison {
	register := v.manifest(registerManifest)
	return comparison{"deploy/" + register, apply(register), rerun(v.manifest(patchManifest))}
}

// String returns the components as a part of a message; empty: there are none.
func (v variant) String() string {
	switch len(v.components) {
	case 0:
		return ""
	case 1:
		return " with the component " + v.components[0]
	}
	return " with the components " + strings.Join(v.components, " and ")
}

// document is an object of a manifest, as JSON.
type document struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	content           []byte
}

func (d document) isService() bool { return d.Kind == "Service" }

// documentsOf returns the objects of manifests. Like all functions of this file, it panics for
// an invalid manifest, because the manifests are part of the program.
func documentsOf(files []deploy.File) (documents []document) {
	for _, file := range files {
		for _, text := range must(deploy.Documents(file.Content)) {
			content := must(yaml.YAMLToJSON(text))
			d := decode[document](document{content: content})
			d.content = content
			documents = append(documents, d)
		}
	}
	return documents
}

func decode[T any](d document) (typed T) {
	must(0, json.Unmarshal(d.content, &typed))
	return typed
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func withPatches(documents []document, patches []deploy.Patch) []document {
	patched := slices.Clone(documents)
	for _, p := range patches {
		operations := must(jsonpatch.DecodePatch(must(yaml.YAMLToJSON([]byte(p.Operations)))))
		for i, d := range patched {
			if d.Kind == p.Target.Kind && d.Name == p.Target.Name {
				patched[i].content = must(operations.Apply(d.content))
			}
		}
	}
	return patched
}

func configurationsOf(documents []document, namespace string) (found []configuration) {
	for _, d := range documents {
		switch d.Kind {
		case "ValidatingWebhookConfiguration":
			found = append(found, moved(fromValidating(decode[admissionregistrationv1.ValidatingWebhookConfiguration](d)), namespace))
		case "MutatingWebhookConfiguration":
			found = append(found, moved(fromMutating(decode[admissionregistrationv1.MutatingWebhookConfiguration](d)), namespace))
		}
	}
	return found
}

// moved returns the configuration of an installation in another namespace: it calls the
// Service there, and excludes that namespace.
func moved(c configuration, namespace string) configuration {
	for _, h := range c.hooks {
		h.ClientConfig.Service.Namespace = namespace
		moveSelector(h.NamespaceSelector, namespace)
	}
	return c
}

// moveSelector excludes the namespaces of an installation in another namespace.
func moveSelector(selector *metav1.LabelSelector, namespace string) {
	for _, e := range selector.MatchExpressions {
		for i, value := range e.Values {
			if suffix, ok := strings.CutPrefix(value, DefaultNamespace); ok && e.Key == corev1.LabelMetadataName {
				e.Values[i] = namespace + suffix
			}
		}
	}
}
