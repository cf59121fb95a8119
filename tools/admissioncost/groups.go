package admissioncost

import (
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// admissionPlugins is the import path of the API server's admission plugins.
const admissionPlugins = "k8s.io/apiserver/pkg/admission/plugin/"

// groups are the groups of the CPU profile, specific ones first. A sample belongs to the first group
// of this table that has a prefix of any function in the sample's stack.
var groups = []struct {
	title    string
	prefixes []string
}{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"webhook: encode the review", []string{"k8s.io/client-go/rest.(*Request).Body"}},
	{"webhook: decode the answer", []string{"k8s.io/client-go/rest.Result.Into"}},
	{"webhook: HTTP and TLS", []string{"k8s.io/client-go/rest.(*Request).Do", "net/http.(*persistConn)", "net/http.(*Transport)"}},
	{"webhook: apply the patch", []string{admissionPlugins + "webhook/mutating.(*mutatingDispatcher).callAttrMutatingHook"}},
	{"match conditions", []string{admissionPlugins + "webhook/matchconditions."}},
	{"webhook: rest of the plugins", []string{admissionPlugins + "webhook/"}},
	{"policies: evaluate CEL", []string{admissionPlugins + "cel."}},
	{"policies: apply the patch", []string{admissionPlugins + "policy/mutating/patch."}},
	{"policies: rest of the plugins", []string{admissionPlugins + "policy/"}},
	{"plugin: ImagePolicyWebhook", []string{"k8s.io/kubernetes/plugin/pkg/admission/imagepolicy."}},
	{"other admission plugins", []string{"k8s.io/apiserver/pkg/admission.", "k8s.io/apiserver/pkg/admission/"}},
	{"managed fields", []string{"k8s.io/apimachinery/pkg/util/managedfields"}},
	{"goroutine scheduler", []string{"runtime.mcall", "runtime.schedule", "runtime.findRunnable"}},
	{"rest of the API server", []string{""}},
}

// groupSamples returns the CPU time of each group.
func groupSamples(p *profile.Profile) []time.Duration {
	times := make([]time.Duration, len(groups))
	for _, sample := range p.Sample {
		times[groupOf(sample)] += time.Duration(sample.Value[len(sample.Value)-1]) // after the number of samples
	}
	return times
}

// groupOf returns the index of the group of a sample.
func groupOf(sample *profile.Sample) int {
	for i, group := range groups {
		if hasFunction(sample, group.prefixes) {
			return i
		}
	}
	return len(groups) - 1 // the stack is empty
}

// hasFunction reports whether the stack of a sample contains a function with one of the prefixes.
func hasFunction(sample *profile.Sample, prefixes []string) bool {
	for _, location := range sample.Location {
		for _, line := range location.Line { // inlined functions
			if line.Function != nil && slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(line.Function.Name, prefix) }) {
				return true
			}
		}
	}
	return false
}
