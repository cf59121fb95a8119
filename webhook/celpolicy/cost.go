package celpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

const (
	// CostLimit is what the API server allows the expressions of a policy to cost for a request. Each
	// expression alone may cost celconfig.PerCallLimit, a tenth of it.
	CostLimit = celconfig.RuntimeCELCostBudget
	// MeasuredImages is the number of images of the pods whose cost Measure returns.
	MeasuredImages = 100
	// maxObject is the maximum size of a policy in bytes. etcd refuses an object of 1.5 MiB.
	maxObject = 1 << 20
)

// Cost is what the API server charges for a pod with MeasuredImages images, in the units of CostLimit.
type Cost struct {
	Deny   int64 // and describe
	Mirror int64 // 0: pods do not change
}

// Measure compiles the objects and evaluates them for pods that are expensive for the rules. It returns an
// error that names a field of the policy if the API server would refuse the objects, or such a pod because
// of its cost.
func (o *Objects) Measure(rules *admission.Rules, release *version.Version) (cost Cost, err error) {
	if err := o.checkSizes(); err != nil {
		return cost, err
	}
	images := expensiveImages(rules.Policy.Tables())
	for _, policy := range o.Validating {
		compiled, err := compileDenial(policy, release)
		if err != nil {
			return cost, limitError(rules, err)
		}
		for _, measured := range images {
			object := podOf(measured)
			if policy.Name == workloadsName {
				object = deploymentOf(measured)
			}
			_, found, err := compiled.evaluate(newRequest(object, nil))
			if err != nil {
				return cost, limitError(rules, err)
			}
			cost.Deny = max(cost.Deny, found)
		}
	}
	for _, policy := range o.Mutating {
		compiled, err := compileChange(policy, release)
		if err != nil {
			return cost, limitError(rules, err)
		}
		for _, measured := range images {
			_, found, err := compiled.evaluate(newRequest(podOf(measured), nil))
			if err != nil {
				return cost, limitError(rules, err)
			}
			cost.Mirror = max(cost.Mirror, found)
		}
	}
	return cost, nil
}

// expensiveImages returns lists of images that need the most work: long names that the rules do not allow,
// on the registries with the most rules.
func expensiveImages(t image.Tables) (lists [][]string) {
	var sources, mirrors []string
	for _, row := range t.Origins {
		sources, mirrors = append(sources, row.Source), append(mirrors, row.Mirror)
	}
	patterns := slices.Concat(t.Allowed, t.Exempt, t.RequireDigest)
	for _, row := range t.Denied {
		patterns = append(patterns, row.Name)
	}
	names := []string{""}
	for _, list := range [][]string{sources, mirrors, patterns} {
		if name := prefix(commonRegistry(list)); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		var images []string
		for i := range MeasuredImages {
			images = append(images, fmt.Sprintf("%s%sapplication-%03d:latest", name, strings.Repeat("team/", 12), i))
		}
		lists = append(lists, images)
	}
	return lists
}

// commonRegistry returns the registry of most patterns, or an empty string without any.
func commonRegistry(patterns []string) (common string) {
	count := map[string]int{}
	for _, pattern := range patterns {
		registry, _, _ := strings.Cut(pattern, "/")
		if count[registry]++; count[registry] > count[common] {
			common = registry
		}
	}
	return common
}

func podOf(images []string) *unstructured.Unstructured { return objectOf("v1", "Pod", podSpec(images)) }

func deploymentOf(images []string) *unstructured.Unstructured {
	return objectOf("apps/v1", "Deployment", map[string]any{"template": map[string]any{"spec": podSpec(images)}})
}

func objectOf(apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
	metadata := map[string]any{"name": "measured", "namespace": "measured"}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec}}
}

func podSpec(images []string) map[string]any {
	var containers []any
	for i, image := range images {
		containers = append(containers, map[string]any{"name": "container-" + strconv.Itoa(i), "image": image})
	}
	return map[string]any{"containers": containers}
}

// checkSizes returns an error for an object that is too large for etcd.
func (o *Objects) checkSizes() error {
	for _, object := range o.All() {
		text, err := document(object)
		if err != nil {
			return err
		}
		if len(text) > maxObject {
			return fmt.Errorf("the %s has %d bytes, but etcd stores at most about %d: remove items from the longest list of the policy, or use the webhook",
				object.GetObjectKind().GroupVersionKind().Kind, len(text), maxObject)
		}
	}
	return nil
}

// fieldsOfVariables are the fields of the policy because of which a variable can be too long or too expensive.
var fieldsOfVariables = map[string][]string{
	"mirrors": {image.ListMirrors}, "rules": {image.ListMirrors}, "rests": {image.ListMirrors}, "mirrored": {image.ListMirrors},
	"originRules": {image.ListMirrors}, "origins": {image.ListMirrors}, "written": {image.ListMirrors}, "allNames": {image.ListMirrors},
	"deniedImages": {image.ListDenied}, "deniedNames": {image.ListDenied}, "deniedReasons": {image.ListDenied},
	"allowed": {image.ListAllowed}, "exempt": {image.ListExempt}, "digestRequired": {image.ListRequireDigest},
	"tags": {image.ListTags}, "disallowedTags": {image.ListTags},
	"reasons": {image.ListAllowed, image.ListExempt, image.ListRequireDigest},
}

// namedVariable matches the variable in an error of the compiler or of the API server's evaluation.
var namedVariable = regexp.MustCompile(`variables?[ .]([a-zA-Z]+)`)

// limitError returns an error about a limit of the API server with the field that exceeds it.
func limitError(rules *admission.Rules, err error) error {
	match := namedVariable.FindStringSubmatch(err.Error())
	tooExpensive := strings.Contains(err.Error(), "cost limit exceeded")
	if !tooExpensive && !strings.Contains(err.Error(), "exceeds limit") || match == nil {
		return fmt.Errorf("evaluate the policies: %w", err)
	}
	field := longestField(rules.Policy.Tables(), fieldsOfVariables[match[1]])
	if !tooExpensive {
		return fmt.Errorf("%s is too long for an expression of the API server: shorten it, or use the webhook", field)
	}
	return fmt.Errorf("%s exceeds the API server's cost limit for a pod with %d images: shorten it, or use the webhook", field, MeasuredImages)
}

// longestField returns which of the fields has the most items.
func longestField(t image.Tables, fields []string) (longest string) {
	items := map[string]int{
		image.ListMirrors: len(t.Mirrors), image.ListTags: len(t.Tags), image.ListExempt: len(t.Exempt), image.ListAllowed: len(t.Allowed),
		image.ListRequireDigest: len(t.RequireDigest), image.ListDenied: len(t.Denied) + len(t.DeniedExact),
	}
	if len(fields) == 0 {
		for field := range items {
			fields = append(fields, field)
		}
	}
	for _, field := range fields {
		if longest == "" || items[field] > items[longest] {
			longest = field
		}
	}
	return longest
}
