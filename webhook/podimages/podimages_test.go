package podimages

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is what an Image says.
type place struct{ Container, Reference, Pointer, Field, Key string }

func TestImages(t *testing.T) {
	tests := []struct {
		name string
		pod  string
		want []place
	}{
		{"no spec", `{}`, nil},
		{"null lists", `{"spec":{"containers":null,"initContainers":null}}`, nil},
		{
			"every list",
			`{"spec":{
				"initContainers":[{"name":"init","image":"i:1"}],
				"containers":[{"name":"app","image":"a:1"},{"name":"side","image":"s:1"}]}}`,
			[]place{
				{"app", "a:1", "/spec/containers/0/image", "spec.containers[0].image", "spec.containers.0.image"},
				{"side", "s:1", "/spec/containers/1/image", "spec.containers[1].image", "spec.containers.1.image"},
				{"init", "i:1", "/spec/initContainers/0/image", "spec.initContainers[0].image", "spec.initContainers.0.image"},
			},
		},
		{
			"without an image",
			`{"spec":{"containers":[{"name":"app"}]}}`,
			[]place{{"app", "", "/spec/containers/0/image", "spec.containers[0].image", "spec.containers.0.image"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := decode(t, tt.pod)
			var got []place
			for i := range pod.Images() {
				got = append(got, place{i.Container, i.Reference, i.Pointer(), i.Field(), i.Key()})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImagesStops(t *testing.T) {
	pod := decode(t, `{"spec":{"containers":[{"name":"a"},{"name":"b"}],"initContainers":[{"name":"c"}]}}`)
	for i := range pod.Images() {
		if i.Container != "a" {
			t.Errorf("still yields %s", i.Container)
		}
		break
	}
}

func TestMetadata(t *testing.T) {
	tests := []struct {
		name        string
		pod         string
		displayName string
		static      bool
	}{
		{"empty", `{}`, "", false},
		{"named", `{"metadata":{"name":"web","generateName":"we"}}`, "web", false},
		{"to be named", `{"metadata":{"generateName":"web-"}}`, "web-", false},
		{"other annotations", `{"metadata":{"annotations":{"kubernetes.io/config.source":"file"}}}`, "", false},
		{"static", `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}}}`, "", true},
		{"not static: annotation keys have a case", `{"metadata":{"annotations":{"Kubernetes.io/Config.Mirror":"4f2a"}}}`, "", false},
		{"static, empty value", `{"metadata":{"annotations":{"kubernetes.io/config.mirror":""}}}`, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := decode(t, tt.pod)
			if got := pod.DisplayName(); got != tt.displayName {
				t.Errorf("name %q, want %q", got, tt.displayName)
			}
			if got := pod.IsStatic(); got != tt.static {
				t.Errorf("static %v, want %v", got, tt.static)
			}
		})
	}
}

func decode(t *testing.T, s string) *Pod {
	t.Helper()
	var pod Pod
	if err := json.Unmarshal([]byte(s), &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}
