package ownercontroller

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"
)

// The files of a template are the keys of the ConfigMap in deploy/namespace-owner/03.
const (
	quotaFile  = "resourcequota.yaml"
	limitsFile = "limitrange.yaml"
)

// template contains the ResourceQuota and the LimitRange of a namespace. A nil part means that
// namespaces have no such object.
type template struct {
	quota  *part[applycorev1.ResourceQuotaSpecApplyConfiguration]
	limits *part[applycorev1.LimitRangeSpecApplyConfiguration]
}

// part is the spec of an object, as the controller applies it and as the API server stores it.
type part[T any] struct {
	apply  *T
	stored unique.Handle[string]
}

// newPart returns a part with a spec of the API. The specs have the same JSON.
func newPart[T any](spec any) (*part[T], error) {
	stored := specOf(spec)
	p := &part[T]{apply: new(T), stored: stored}
	return p, json.Unmarshal([]byte(stored.Value()), p.apply)
}

// readTemplate reads the template in dir.
func readTemplate(dir string) (*template, error) {
	dir, err := currentDir(dir)
	if err != nil {
		return nil, err
	}
	quota, err := readFile(dir, quotaFile)
	if err != nil {
		return nil, err
	}
	limits, err := readFile(dir, limitsFile)
	if err != nil {
		return nil, err
	}
	return parseTemplate(quota, limits)
}

// readFile returns the content of a file, or nil if the file does not exist.
func readFile(dir, file string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// parseTemplate returns the template with the contents of the files. If one is nil, namespaces
// have no such object.
func parseTemplate(quotaYAML, limitsYAML []byte) (*template, error) {
	quota, limits := &corev1.ResourceQuota{}, &corev1.LimitRange{}
	if err := decodeObject(quotaYAML, "ResourceQuota", quota); err != nil {
		return nil, fmt.Errorf("%s: %w", quotaFile, err)
	}
	if err := decodeObject(limitsYAML, "LimitRange", limits); err != nil {
		return nil, fmt.Errorf("%s: %w", limitsFile, err)
	}
	if err := checkDefaults(quota.Spec, limits.Spec); err != nil {
		return nil, err
	}
	setDefaults(limits.Spec.Limits)
	var t template
	var err error
	if quotaYAML != nil {
		t.quota, err = newPart[applycorev1.ResourceQuotaSpecApplyConfiguration](quota.Spec)
	}
	if limitsYAML != nil && err == nil {
		t.limits, err = newPart[applycorev1.LimitRangeSpecApplyConfiguration](limits.Spec)
	}
	return &t, err
}

// currentDir returns the directory that contains one version of all files. The kubelet
// replaces the files of a ConfigMap together, by the symbolic link ..data.
func currentDir(dir string) (string, error) {
	data, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.ReadDir(dir)
		return dir, err
	}
	return data, err
}

// decodeObject decodes an object, unless the content is nil. The object must not be meant for a
// certain namespace.
func decodeObject(content []byte, kind string, object metav1.Object) error {
	if content == nil {
		return nil
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	first, err := documents.Read()
	if err != nil {
		return errors.New("the file is empty: delete the key to have no such object")
	}
	if _, err := documents.Read(); !errors.Is(err, io.EOF) { // UnmarshalStrict ignores further documents
		return errors.New("the file has several documents: keep one")
	}
	if err := yaml.UnmarshalStrict(first, object); err != nil {
		return fmt.Errorf("invalid YAML: %s", strings.TrimPrefix(err.Error(), "error unmarshaling JSON: while decoding JSON: json: "))
	}
	got := object.(runtime.Object).GetObjectKind().GroupVersionKind()
	if got.GroupVersion().String() != "v1" || got.Kind != kind {
		return fmt.Errorf("unexpected kind %q of apiVersion %q: use a %s of v1", got.Kind, got.GroupVersion(), kind)
	}
	if object.GetNamespace() != "" {
		return fmt.Errorf("metadata.namespace is %q: delete it, because the object is created in each namespace with an owner", object.GetNamespace())
	}
	if name := object.GetName(); name != "" && name != objectName {
		return fmt.Errorf("metadata.name is %q: delete it, because the object is always named %s", name, objectName)
	}
	return nil
}

// defaultedResources are the resources of a quota that need defaults in the LimitRange: a quota
// on one of them makes the API server refuse pods that do not set it.
var defaultedResources = []struct {
	quota    corev1.ResourceName // in the ResourceQuota
	resource corev1.ResourceName // in the LimitRange
	limit    bool                // whether it is a limit, and not a request
}{
	{corev1.ResourceCPU, corev1.ResourceCPU, false},
	{corev1.ResourceMemory, corev1.ResourceMemory, false},
	{corev1.ResourceRequestsCPU, corev1.ResourceCPU, false},
	{corev1.ResourceRequestsMemory, corev1.ResourceMemory, false},
	{corev1.ResourceLimitsCPU, corev1.ResourceCPU, true},
	{corev1.ResourceLimitsMemory, corev1.ResourceMemory, true},
}

// checkDefaults returns an error if pods need a request or a limit and the LimitRange has no
// default for it.
func checkDefaults(quota corev1.ResourceQuotaSpec, limits corev1.LimitRangeSpec) error {
	for _, needed := range defaultedResources {
		if _, limited := quota.Hard[needed.quota]; !limited {
			continue
		}
		if !hasDefault(limits, needed.resource, needed.limit) {
			field := "defaultRequest"
			if needed.limit {
				field = "default"
			}
			return fmt.Errorf("%s limits %s, but %s has no %s for the %s of containers: add one, because pods without it would be refused",
				quotaFile, needed.quota, limitsFile, field, needed.resource)
		}
	}
	return nil
}

// hasDefault reports whether a container that sets nothing gets a limit or a request of a
// resource. A default limit is also the request.
func hasDefault(limits corev1.LimitRangeSpec, resource corev1.ResourceName, limit bool) bool {
	for _, item := range limits.Limits {
		_, hasLimit := item.Default[resource]
		_, hasRequest := item.DefaultRequest[resource]
		if item.Type == corev1.LimitTypeContainer && (hasLimit || hasRequest && !limit) {
			return true
		}
	}
	return false
}

// setDefaults sets the fields that the API server sets when it stores a LimitRange
// (SetDefaults_LimitRangeItem in k8s.io/kubernetes/pkg/apis/core/v1). If the two ever differ,
// the controller applies the LimitRange more often than necessary.
func setDefaults(items []corev1.LimitRangeItem) {
	for i := range items {
		item := &items[i]
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		item.Default = withMissing(item.Default, item.Max)
		item.DefaultRequest = withMissing(item.DefaultRequest, item.Default)
		item.DefaultRequest = withMissing(item.DefaultRequest, item.Min)
	}
}

// withMissing returns list with the resources of defaults that it does not have. It always
// returns a list, as the API server does.
func withMissing(list, defaults corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for name, quantity := range defaults {
		if _, set := list[name]; !set {
			list[name] = quantity.DeepCopy()
		}
	}
	return list
}
