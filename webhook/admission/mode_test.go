package admission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

func TestUnknownModeWarnsAboutTheLabel(t *testing.T) {
	namespace := func(labels string) *Request {
		r := created(t, fmt.Sprintf(`{"metadata":{"name":"shop","labels":{%s}}}`, labels))
		return r.withKind(namespaceKind)
	}
	set := func(mode string) string {
		return `namespace "shop" is treated as deny: set its label image-webhook.dev/mode to deny, warn or off instead of "` + mode + `"`
	}
	tests := []struct {
		name    string
		request *Request
		want    string // the warning; empty: none
	}{
		{"misspelt", namespace(`"image-webhook.dev/mode":"of"`), set("of")},
		{"in another case", namespace(`"image-webhook.dev/mode":"Warn"`), set("Warn")},
		{"empty", namespace(`"image-webhook.dev/mode":""`), set("")},
		{"a pod, whose review does not have the label", created(t, podOf("nginx:1.25")), `namespace "shop" is treated as deny: its label image-webhook.dev/mode is not deny, warn or off`},
		// The webhook configurations do not send these.
		{"deny", namespace(`"image-webhook.dev/mode":"deny"`), ""},
		{"warn", namespace(`"image-webhook.dev/mode":"warn"`), ""},
		{"off", namespace(`"image-webhook.dev/mode":"off"`), ""},
		{"no label", namespace(`"other":"of"`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := &admissionv1.AdmissionResponse{Allowed: true}
			if tt.want != "" {
				want.Warnings = []string{tt.want}
			}
			if diff := cmp.Diff(want, decide(t, unknownMode, tt.request)); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownModeWarningsAreNotTruncated(t *testing.T) {
	// The value of a label and the name of a namespace have at most 63 characters.
	r := created(t, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, modeLabel, strings.Repeat("x", 63))).withKind(namespaceKind)
	r.Namespace = strings.Repeat("n", 63)
	if got := unknownMode(r).Warnings[0]; len(got) > maxWarning {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
