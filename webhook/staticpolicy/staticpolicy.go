// Package staticpolicy writes the objects of package celpolicy as files that the API server reads itself:
// https://kubernetes.io/docs/reference/access-authn-authz/admission-control-config/. They apply to the
// first request after its start, and no request can read, change or delete them.
//
// admission.yaml is the file of the flag --admission-control-config-file. It names a directory for each
// admission plugin. Each directory has exactly one file, because the API server loads a directory again
// whenever one of its files changes: one rename replaces all objects of a plugin, so that there is never a
// set without some of them. The file contains a List, which can be empty: an API server that has loaded it
// can be distinguished from one that has read an empty directory. All directories are always named, so that
// an API server needs no restart when a webhook replaces policies.
//
// webhooks.go registers a webhook beside the API server. guard.go adds a policy that protects the objects of
// image-webhook in the API. validate.go asks an API server whether it accepts the objects, and verify.go asks
// all API servers which files they have loaded.
package staticpolicy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

const (
	// Suffix is the end of the names of all objects in files. The API server refuses it in the API.
	Suffix = ".static.k8s.io"
	// ConfigurationFile is the file for --admission-control-config-file.
	ConfigurationFile = "admission.yaml"
	// FeatureGate is the feature gate of the API server. It is off in Kubernetes 1.36.
	FeatureGate = "ManifestBasedAdmissionControlConfig"

	objectsFile = "image-webhook.yaml"
	generator   = generatedfiles.Generator("kubectl image-webhook policy --static")
)

// Oldest is the first Kubernetes version that reads policies from files.
var Oldest = version.MajorMinor(1, 36)

// plugin is an admission plugin that reads objects from a directory.
type plugin struct {
	name, directory string
	configuration   string   // the kind of its configuration
	kinds           []string // of its objects
}

// plugins are in the order in which their files are replaced: pods are mirrored before they are denied.
var plugins = []plugin{
	policyPlugin("MutatingAdmissionPolicy", "mutating"),
	webhookPlugin("MutatingAdmissionWebhook", "mutating-webhooks", "MutatingWebhookConfiguration"),
	webhookPlugin("ValidatingAdmissionWebhook", "validating-webhooks", "ValidatingWebhookConfiguration"),
	policyPlugin("ValidatingAdmissionPolicy", "validating"),
}

func policyPlugin(name, directory string) plugin {
	return plugin{name, directory, name + "Configuration", []string{name, name + "Binding"}}
}

func webhookPlugin(name, directory, kind string) plugin {
	return plugin{name, directory, webhookAdmission, []string{kind}}
}

// file returns the path of the file with the objects, with slashes.
func (p plugin) file() string { return p.directory + "/" + objectsFile }

// Options are what the files depend on besides the objects.
type Options struct {
	Path    string   // of the directory on the control-plane nodes
	Admins  []string // the users who may change the objects of image-webhook in the API
	Version string   // of the policy file; empty: the rules are from flags
	Webhook *Webhook // nil: no webhook
}

// Files returns the files in the order in which they must be replaced. The first ones are those of plugins.
func Files(objects *celpolicy.Objects, o Options) ([]generatedfiles.File, error) {
	objects = static(objects)
	addGuard(objects, o.Admins)
	var all []map[string]any
	for _, object := range objects.All() {
		fields, err := celpolicy.Fields(object)
		if err != nil {
			return nil, err
		}
		all = append(all, fields)
	}
	if o.Webhook != nil {
		all = append(all, o.Webhook.configurations()...)
	}
	var files []generatedfiles.File
	add := func(path string, fields map[string]any) error {
		text, err := yaml.Marshal(fields)
		if err != nil {
			return fmt.Errorf("encode the files: %w", err)
		}
		files = append(files, generatedfiles.File{Path: path, Content: generator.Content(o.Version, string(text))})
		return nil
	}
	for _, p := range plugins {
		if err := add(p.file(), p.list(all)); err != nil {
			return nil, err
		}
	}
	if err := add(kubeconfigFile, kubeconfig(o)); err != nil {
		return nil, err
	}
	err := add(ConfigurationFile, configuration(o.Path))
	return files, err
}

// list returns a List of the objects of the plugin.
func (p plugin) list(objects []map[string]any) map[string]any {
	items := []any{}
	for _, object := range objects {
		if slices.Contains(p.kinds, object["kind"].(string)) {
			items = append(items, object)
		}
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

// configuration returns the AdmissionConfiguration for a directory on the control-plane nodes.
func configuration(directory string) map[string]any {
	const version = "apiserver.config.k8s.io/v1"
	var list []any
	for _, p := range plugins {
		fields := map[string]any{"apiVersion": version, "kind": p.configuration, "staticManifestsDir": path.Join(directory, p.directory)}
		if p.configuration == webhookAdmission {
			fields["kubeConfigFile"] = path.Join(directory, kubeconfigFile)
		}
		list = append(list, map[string]any{"name": p.name, "configuration": fields})
	}
	return map[string]any{"apiVersion": version, "kind": "AdmissionConfiguration", "plugins": list}
}

// static returns copies of the objects with names for files.
func static(o *celpolicy.Objects) *celpolicy.Objects {
	copied := &celpolicy.Objects{
		Validating: renamed(o.Validating), ValidatingBindings: renamed(o.ValidatingBindings),
		Mutating: renamed(o.Mutating), MutatingBindings: renamed(o.MutatingBindings),
	}
	for _, binding := range copied.ValidatingBindings {
		binding.Spec.PolicyName += Suffix
	}
	for _, binding := range copied.MutatingBindings {
		binding.Spec.PolicyName += Suffix
	}
	return copied
}

// renamed returns copies of objects with the suffix in their names.
func renamed[T interface {
	runtime.Object
	metav1.Object
}](objects []T) (copies []T) {
	for _, object := range objects {
		copied := object.DeepCopyObject().(T)
		copied.SetName(copied.GetName() + Suffix)
		copies = append(copies, copied)
	}
	return copies
}

// Write writes the files into a directory, which may not exist. It returns an error before it changes
// anything if a file of a user would be lost, or if the API server would load one besides.
func Write(directory string, files []generatedfiles.File) error {
	for _, p := range append([]plugin{{}}, plugins...) {
		if err := generatedfiles.CheckDirectory(filepath.Join(directory, p.directory)); err != nil {
			return err
		}
	}
	for _, file := range files {
		if _, err := generator.CheckFile(filepath.Join(directory, filepath.FromSlash(file.Path))); err != nil {
			return err
		}
	}
	for _, p := range plugins {
		if err := p.checkAlone(directory); err != nil {
			return err
		}
	}
	return generatedfiles.Write(directory, files)
}

// checkAlone returns an error if the directory of the plugin has another file that the API server loads.
func (p plugin) checkAlone(directory string) error {
	entries, err := os.ReadDir(filepath.Join(directory, p.directory))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the directory for the files: %w: choose another directory", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != objectsFile && !entry.IsDir() && isLoaded(name) {
			return fmt.Errorf("write %s: the API server would also load %s, which this command did not write: remove it, or write into an empty directory and merge the files",
				filepath.Join(directory, p.file()), filepath.Join(directory, p.directory, name))
		}
	}
	return nil
}

// isLoaded reports whether the API server loads a file with this name.
func isLoaded(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}
