package admissioncost

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
)

// newSample returns a sample of one millisecond. The stack begins with the innermost function.
func newSample(stack ...string) *profile.Sample {
	sample := &profile.Sample{Value: []int64{1, int64(time.Millisecond)}}
	for _, name := range stack {
		sample.Location = append(sample.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
	}
	return sample
}

func TestGroupSamples(t *testing.T) {
	const (
		handler  = "k8s.io/apiserver/pkg/endpoints/handlers.createHandler.func1"
		admit    = "k8s.io/apiserver/pkg/admission.(*reinvoker).Admit"
		call     = admissionPlugins + "webhook/mutating.(*mutatingDispatcher).callAttrMutatingHook"
		dispatch = admissionPlugins + "webhook/mutating.(*mutatingDispatcher).Dispatch"
		policy   = admissionPlugins + "policy/mutating.(*dispatcher).dispatchInvocations"
		encode   = "k8s.io/apimachinery/pkg/runtime/serializer/json.(*Serializer).Encode"
	)
	inlined := newSample(encode)
	inlined.Location[0].Line = append(inlined.Location[0].Line, profile.Line{Function: &profile.Function{Name: policy}})
	p := &profile.Profile{Sample: []*profile.Sample{
		newSample(encode, handler),
		newSample(encode, "k8s.io/client-go/rest.(*Request).Body", call, dispatch, admit, handler),
		newSample("crypto/tls.(*Conn).Write", "net/http.(*persistConn).writeLoop"),
		newSample("crypto/tls.(*Conn).Write", "net/http.(*conn).serve"),
		newSample("net/http.(*Transport).RoundTrip", "k8s.io/client-go/rest.(*Request).Do", call, dispatch, admit, handler),
		newSample(encode, call, dispatch, admit, handler),
		newSample("github.com/google/cel-go/cel.(*prog).Eval", admissionPlugins+"cel.(*condition).ForInput", admissionPlugins+"webhook/matchconditions.(*matcher).Match", policy, admit, handler),
		newSample("github.com/google/cel-go/cel.(*prog).Eval", admissionPlugins+"cel.(*mutatingEvaluator).ForInput", admissionPlugins+"policy/mutating/patch.(*jsonPatcher).Patch", policy, admit, handler),
		newSample(encode, admissionPlugins+"policy/mutating/patch.(*jsonPatcher).Patch", policy, admit, handler),
		newSample("runtime.scanobject", "runtime.gcAssistAlloc", encode, call, dispatch, admit, handler),
		newSample("encoding/json.Marshal", "k8s.io/kubernetes/plugin/pkg/admission/imagepolicy.(*Plugin).Validate", admit, handler),
		newSample("k8s.io/kubernetes/plugin/pkg/admission/priority.(*Plugin).Admit", admit, handler),
		newSample("runtime.futex", "runtime.findRunnable", "runtime.mcall"),
		newSample(),
		inlined,
	}}
	got := map[string]time.Duration{}
	for i, duration := range groupSamples(p) {
		if duration > 0 {
			got[groups[i].title] = duration
		}
	}
	want := map[string]time.Duration{
		"garbage collection":            time.Millisecond,
		"webhook: encode the review":    time.Millisecond,
		"webhook: HTTP and TLS":         2 * time.Millisecond,
		"webhook: apply the patch":      time.Millisecond,
		"match conditions":              time.Millisecond,
		"policies: evaluate CEL":        time.Millisecond,
		"policies: apply the patch":     time.Millisecond,
		"policies: rest of the plugins": time.Millisecond,
		"plugin: ImagePolicyWebhook":    time.Millisecond,
		"other admission plugins":       time.Millisecond,
		"goroutine scheduler":           time.Millisecond,
		"rest of the API server":        3 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CPU time by group (-want +got):\n%s", diff)
	}
}
