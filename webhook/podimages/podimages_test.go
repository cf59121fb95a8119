package podimages

import (
	"fmt"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/webhook/jsonfields"
)

// imageData holds the exported data of an Image, except its pull policy.
type imageData struct{ Holder, Name, Reference, Pointer, Field, Key string }

func dataOf(i Image) imageData {
	return imageData{i.Holder, i.Name, i.Reference, string(i.AppendPointer(nil)), i.Field(), i.Key()}
}

// policyData holds the data of an Image's pull policy.
type policyData struct {
	PullPolicy   string
	Pointer, Key string
}

func TestImagesYieldPullPolicies(t *testing.T) {
	pod := decode(t, `{"spec":{
		"containers":[{"image":"a:1","imagePullPolicy":"Always"},{"image":"a:1","imagePullPolicy":"IfNotPresent"},{"image":"a:1","imagePullPolicy":"Never"}],
		"initContainers":[{"image":"a:1"},{"image":"a:1","imagePullPolicy":null},{"image":"a:1","imagePullPolicy":""}],
		"ephemeralContainers":[{"image":"a:1","imagePullPolicy":"always"}],
		"volumes":[{"image":{"reference":"a:1","pullPolicy":"Never"}},{"image":{"reference":"a:1"}}]}}`)
	want := []policyData{
		{PullAlways, "/spec/containers/0/imagePullPolicy", "spec.containers.0.imagePullPolicy"},
		{"IfNotPresent", "/spec/containers/1/imagePullPolicy", "spec.containers.1.imagePullPolicy"},
		{"Never", "/spec/containers/2/imagePullPolicy", "spec.containers.2.imagePullPolicy"},
		{"", "/spec/initContainers/0/imagePullPolicy", "spec.initContainers.0.imagePullPolicy"},
		{"", "/spec/initContainers/1/imagePullPolicy", "spec.initContainers.1.imagePullPolicy"},
		{"", "/spec/initContainers/2/imagePullPolicy", "spec.initContainers.2.imagePullPolicy"},
		{"always", "/spec/ephemeralContainers/0/imagePullPolicy", "spec.ephemeralContainers.0.imagePullPolicy"},
		{"Never", "/spec/volumes/0/image/pullPolicy", "spec.volumes.0.image.pullPolicy"},
		{"", "/spec/volumes/1/image/pullPolicy", "spec.volumes.1.image.pullPolicy"},
	}
	var got []policyData
	for i := range (Images{Kind: Pod, Object: pod}).Each {
		got = append(got, policyData{i.PullPolicy, string(i.AppendPullPolicyPointer(nil)), i.PullPolicyKey()})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pull policies (-want +got):\n%s", diff)
	}
}

func TestPointersReachIntoTemplates(t *testing.T) {
	cronJob := decode(t, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"a:1"}]}}}}}}`)
	const container = "/spec/jobTemplate/spec/template/spec/containers/0/"
	for i := range (Images{Kind: Kind{Group: "batch", Version: "v1", Kind: "CronJob"}, Object: cronJob}).Each {
		if image, policy := string(i.AppendPointer(nil)), string(i.AppendPullPolicyPointer(nil)); image != container+"image" || policy != container+"imagePullPolicy" {
			t.Errorf("pointers %s and %s, want them below %s", image, policy, container)
		}
	}
}

func TestImagesYieldEveryListOfAPod(t *testing.T) {
	tests := []struct {
		name string
		pod  string
		want []imageData
	}{
		{"no spec", `{}`, nil},
		{"null lists", `{"spec":{"containers":null,"initContainers":null,"ephemeralContainers":null,"volumes":null}}`, nil},
		{
			"every list",
			`{"spec":{
				"volumes":[{"name":"tmp","emptyDir":{}},{"name":"model","image":{"reference":"v:1","pullPolicy":"Always"}}],
				"ephemeralContainers":[{"name":"debug","image":"e:1"}],
				"initContainers":[{"name":"init","image":"i:1"}],
				"containers":[{"name":"app","image":"a:1"},{"name":"side","image":"s:1"}]}}`,
			[]imageData{
				{"container", "app", "a:1", "/spec/containers/0/image", "spec.containers[0].image", "spec.containers.0.image"},
				{"container", "side", "s:1", "/spec/containers/1/image", "spec.containers[1].image", "spec.containers.1.image"},
				{"container", "init", "i:1", "/spec/initContainers/0/image", "spec.initContainers[0].image", "spec.initContainers.0.image"},
				{"container", "debug", "e:1", "/spec/ephemeralContainers/0/image", "spec.ephemeralContainers[0].image", "spec.ephemeralContainers.0.image"},
				{"volume", "model", "v:1", "/spec/volumes/1/image/reference", "spec.volumes[1].image.reference", "spec.volumes.1.image.reference"},
			},
		},
		{
			"a container without an image",
			`{"spec":{"containers":[{"name":"app"}]}}`,
			[]imageData{{"container", "app", "", "/spec/containers/0/image", "spec.containers[0].image", "spec.containers.0.image"}},
		},
		{
			"volumes that are not images",
			`{"spec":{"volumes":[{"name":"a","image":null},{"name":"b","image":{}},{"name":"c","image":{"reference":""}}]}}`,
			nil,
		},
		{"a template, which a pod cannot have", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"a:1"}]}}}}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []imageData
			for i := range (Images{Kind: Pod, Object: decode(t, tt.pod)}).Each {
				got = append(got, dataOf(i))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImagesKnowEveryKindWithAPodSpec(t *testing.T) {
	kind := func(group, name string) Kind {
		return Kind{Group: group, Version: "v1", Kind: name}
	}
	const spec = `{"containers":[{"name":"app","image":"a:1"}]}`
	const inTemplate = `{"spec":{"template":{"spec":` + spec + `}}}`
	tests := []struct {
		kind   Kind
		object string
		want   string // the field of the only image; empty: no image
	}{
		{kind("", "Pod"), `{"spec":` + spec + `}`, "spec.containers[0].image"},
		{kind("", "PodTemplate"), `{"template":{"spec":` + spec + `}}`, "template.spec.containers[0].image"},
		{kind("", "ReplicationController"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("apps", "Deployment"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("apps", "StatefulSet"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("apps", "DaemonSet"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("apps", "ReplicaSet"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("batch", "Job"), inTemplate, "spec.template.spec.containers[0].image"},
		{kind("batch", "CronJob"), `{"spec":{"jobTemplate":{"spec":{"template":{"spec":` + spec + `}}}}}`, "spec.jobTemplate.spec.template.spec.containers[0].image"},
		// Kinds without a pod spec, and kinds in a wrong group or version.
		{kind("", "Namespace"), `{"spec":` + spec + `}`, ""},
		{kind("", "Deployment"), inTemplate, ""},
		{kind("metrics.k8s.io", "Pod"), `{"spec":` + spec + `}`, ""},
		{Kind{Group: "apps", Version: "v1beta1", Kind: "Deployment"}, inTemplate, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.kind), func(t *testing.T) {
			got := ""
			for i := range (Images{Kind: tt.kind, Object: decode(t, tt.object)}).Each {
				got += i.Field()
			}
			if got != tt.want {
				t.Errorf("got image field %q, want %q", got, tt.want)
			}
			for i := range (Images{Kind: tt.kind, Object: decode(t, `{}`)}).Each {
				t.Errorf("got image field %q in an empty object", i.Field())
			}
			for i := range (Images{Kind: tt.kind, Object: decode(t, `{"spec":{"jobTemplate":{}}}`)}).Each {
				t.Errorf("got image field %q in an object without a template", i.Field())
			}
			if HasPodSpec(tt.kind) != (tt.want != "") {
				t.Errorf("Has returns %v", HasPodSpec(tt.kind))
			}
		})
	}
}

func TestImagesYieldOnlyChangedImages(t *testing.T) {
	const before = `{"spec":{
		"containers":[{"name":"app","image":"a:1"},{"name":"side","image":"s:1"}],
		"initContainers":[{"name":"init","image":"i:1"}],
		"ephemeralContainers":[{"name":"first","image":"e:1"},{"name":"second","image":"e:2"}],
		"volumes":[{"name":"model","image":{"reference":"v:1"}}]}}`
	tests := []struct {
		name string
		now  string
		want []string // fields
	}{
		{"unchanged", before, nil},
		{
			"each list changed",
			`{"spec":{
				"containers":[{"name":"app","image":"a:1"},{"name":"side","image":"s:2"}],
				"initContainers":[{"name":"init","image":"i:2"}],
				"ephemeralContainers":[{"name":"first","image":"e:1"},{"name":"second","image":"e:2"},{"name":"third","image":"e:1"}],
				"volumes":[{"name":"model","image":{"reference":"v:2"}}]}}`,
			[]string{"spec.containers[1].image", "spec.initContainers[0].image", "spec.ephemeralContainers[2].image", "spec.volumes[0].image.reference"},
		},
		{"reordered list", `{"spec":{"ephemeralContainers":[{"name":"second","image":"e:2"},{"name":"first","image":"e:1"}]}}`, nil},
		{"swapped images", `{"spec":{"containers":[{"name":"app","image":"s:1"},{"name":"side","image":"a:1"}]}}`, []string{"spec.containers[0].image", "spec.containers[1].image"}},
		{"same name in another list", `{"spec":{"initContainers":[{"name":"app","image":"a:1"}]}}`, []string{"spec.initContainers[0].image"}},
		{"renamed container", `{"spec":{"containers":[{"name":"renamed","image":"a:1"}]}}`, []string{"spec.containers[0].image"}},
		{"removed image", `{"spec":{"containers":[{"name":"app"}]}}`, []string{"spec.containers[0].image"}},
		{"removed container", `{"spec":{"containers":[{"name":"side","image":"s:1"}]}}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for i := range (Images{Pod, decode(t, tt.now), decode(t, before)}).Each {
				got = append(got, i.Field())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("new images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImagesYieldAllWithoutAnOldObject(t *testing.T) {
	var got []string
	for i := range (Images{Pod, decode(t, `{"spec":{"containers":[{"name":"app","image":"a:1"}]}}`), nil}).Each {
		got = append(got, i.Field())
	}
	if diff := cmp.Diff([]string{"spec.containers[0].image"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIteratorsStopWithTheLoop(t *testing.T) {
	// The runtime panics if an iterator continues after its loop has ended.
	pod := decode(t, `{"spec":{"containers":[{"name":"a","image":"a"},{"name":"b"}],"initContainers":[{"name":"c"}]}}`)
	for name, images := range map[string]func(func(Image) bool){
		"created": Images{Kind: Pod, Object: pod}.Each,
		"updated": Images{Pod, pod, &Object{}}.Each,
	} {
		for i := range images {
			if i.Name != "a" {
				t.Errorf("%s first yields %s, want a", name, i.Name)
			}
			break
		}
	}
}

func TestObjectReturnsDisplayNameAndIsStatic(t *testing.T) {
	tests := []struct {
		name        string
		object      string
		displayName string
		static      bool
	}{
		{"empty", `{}`, "", false},
		{"named", `{"metadata":{"name":"web","generateName":"we"}}`, "web", false},
		{"generated name", `{"metadata":{"generateName":"web-"}}`, "web-", false},
		{"other annotations", `{"metadata":{"annotations":{"kubernetes.io/config.source":"file"}}}`, "", false},
		{"static", `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"4f2a"}}}`, "", true},
		{"not static: key in another case", `{"metadata":{"annotations":{"Kubernetes.io/Config.Mirror":"4f2a"}}}`, "", false},
		{"not static: the key is part of a value", `{"metadata":{"annotations":{"note":"kubernetes.io/config.mirror"}}}`, "", false},
		{"not static: annotations are a list", `{"metadata":{"annotations":["kubernetes.io/config.mirror"]}}`, "", false},
		{"static, empty value", `{"metadata":{"annotations":{"kubernetes.io/config.mirror":""}}}`, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			object := decode(t, tt.object)
			if got := object.DisplayName(); got != tt.displayName {
				t.Errorf("got name %q, want %q", got, tt.displayName)
			}
			if got := object.IsStatic(); got != tt.static {
				t.Errorf("got static %v, want %v", got, tt.static)
			}
		})
	}
}

func TestLabelMatchesTheExactKey(t *testing.T) {
	object := decode(t, `{"metadata":{"labels":{"mode":"off","other":"x"}}}`)
	if value, ok := object.Label("mode"); value != "off" || !ok {
		t.Errorf("label mode is %q, %v, want off", value, ok)
	}
	if value, ok := object.Label("Mode"); ok {
		t.Errorf("label Mode is %q, want none: keys are case-sensitive", value)
	}
}

func decode(t *testing.T, s string) *Object {
	t.Helper()
	var object Object
	var d jsonfields.Decoder
	if err := d.Decode([]byte(s), jsonfields.Unlimited{}, object.Decode); err != nil {
		t.Fatal(err)
	}
	return &object
}

func TestImagesFindEntriesOfLongListsInAnyOrder(t *testing.T) {
	list := func(indexes iter.Seq[int]) *Object {
		o := &Object{}
		for i := range indexes {
			o.Spec.Containers = append(o.Spec.Containers, Container{Name: fmt.Sprint("c", i), Image: fmt.Sprint("a:", i)})
		}
		return o
	}
	const n = 4 * maxSearched
	reversed := func(yield func(int) bool) {
		for i := n; i >= 0 && yield(i); i-- { // the first one is new
		}
	}
	var got []string
	for i := range (Images{Pod, list(reversed), list(func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	})}).Each {
		got = append(got, i.Name)
	}
	if diff := cmp.Diff([]string{fmt.Sprint("c", n)}, got); diff != "" {
		t.Errorf("new images (-want +got):\n%s", diff)
	}
}
