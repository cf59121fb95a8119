package admission

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	kjson "sigs.k8s.io/json"

	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// The types in this file describe the fields of a Request for encoding/json.
type (
	slowReview struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Request    *slowRequest `json:"request"`
	}
	slowRequest struct {
		UID  string `json:"uid"`
		Kind struct {
			Group   string `json:"group"`
			Version string `json:"version"`
			Kind    string `json:"kind"`
		} `json:"kind"`
		SubResource string `json:"subResource"`
		Namespace   string `json:"namespace"`
		Operation   string `json:"operation"`
		UserInfo    struct {
			Username string `json:"username"`
		} `json:"userInfo"`
		Object    *slowObject `json:"object"`
		OldObject *slowObject `json:"oldObject"`
	}
	slowObject struct {
		Metadata struct {
			Name         string          `json:"name"`
			GenerateName string          `json:"generateName"`
			Labels       json.RawMessage `json:"labels"`
			Annotations  json.RawMessage `json:"annotations"`
		} `json:"metadata"`
		Spec     slowSpec      `json:"spec"`
		Template *slowTemplate `json:"template"`
	}
	slowTemplate struct {
		Spec slowSpec `json:"spec"`
	}
	slowSpec struct {
		Containers          []slowContainer `json:"containers"`
		InitContainers      []slowContainer `json:"initContainers"`
		EphemeralContainers []slowContainer `json:"ephemeralContainers"`
		Volumes             []slowVolume    `json:"volumes"`
		Template            *slowTemplate   `json:"template"`
		JobTemplate         *slowTemplate   `json:"jobTemplate"`
	}
	slowContainer struct {
		Name       string `json:"name"`
		Image      string `json:"image"`
		PullPolicy string `json:"imagePullPolicy"`
	}
	slowVolume struct {
		Name  string `json:"name"`
		Image struct {
			Reference  string `json:"reference"`
			PullPolicy string `json:"pullPolicy"`
		} `json:"image"`
	}
)

func (r *slowRequest) request() *Request {
	return &Request{
		UID: r.UID, User: r.UserInfo.Username, Kind: podimages.Kind(r.Kind), SubResource: r.SubResource, Namespace: r.Namespace, Operation: r.Operation,
		Object: r.Object.object(), OldObject: r.OldObject.object(),
	}
}

func (o *slowObject) object() *podimages.Object {
	if o == nil {
		return nil
	}
	m := o.Metadata
	return &podimages.Object{
		Metadata: podimages.Metadata{Name: m.Name, GenerateName: m.GenerateName, Labels: podimages.Pairs(m.Labels), Annotations: podimages.Pairs(m.Annotations)},
		Spec:     o.Spec.spec(), Template: o.Template.template(),
	}
}

func (t *slowTemplate) template() *podimages.Template {
	if t == nil {
		return nil
	}
	return &podimages.Template{Spec: t.Spec.spec()}
}

func (s slowSpec) spec() podimages.Spec {
	spec := podimages.Spec{
		Containers: slowContainers(s.Containers), InitContainers: slowContainers(s.InitContainers), EphemeralContainers: slowContainers(s.EphemeralContainers),
		Template: s.Template.template(), JobTemplate: s.JobTemplate.template(),
	}
	for _, v := range s.Volumes {
		spec.Volumes = append(spec.Volumes, podimages.Volume{Name: v.Name, Reference: v.Image.Reference, PullPolicy: v.Image.PullPolicy})
	}
	return spec
}

func slowContainers(list []slowContainer) (containers []podimages.Container) {
	for _, c := range list {
		containers = append(containers, podimages.Container(c))
	}
	return containers
}

// decodeSlowly decodes a review with encoding/json, and then with the decoder of the API
// server, which only matches keys in their exact case. It reports whether an object has two
// equal keys.
func decodeSlowly(body []byte) (review slowReview, duplicates bool, err error) {
	if err = json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return review, false, err
	}
	problems, err := kjson.UnmarshalStrict(body, &review)
	for _, problem := range problems {
		duplicates = duplicates || strings.Contains(problem.Error(), "duplicate field")
	}
	return review, duplicates, err
}

// equalRequests ignores the difference between no list and an empty list, and between bytes
// that are not UTF-8 and their replacement by encoding/json.
var equalRequests = cmp.Options{
	cmpopts.IgnoreUnexported(Request{}),
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b string) bool { return slices.Equal([]rune(a), []rune(b)) }),
}

// FuzzDecode compares the decoder with encoding/json and with the decoder of the API server.
// Every text that they reject is rejected. A text that they accept has the same fields, or is
// rejected for a reason that the package jsonfields names.
func FuzzDecode(f *testing.F) {
	for _, name := range reviews(f) {
		if body := review(f, name); len(body) < 4<<10 {
			f.Add(body)
		}
	}
	for _, tt := range invalidReviews {
		f.Add([]byte(tt.body[:min(len(tt.body), 500)]))
	}
	for _, object := range unusualObjects {
		if len(object) < 1<<10 { // long texts make the fuzzer slow
			f.Add([]byte(join(uid, pod, create, `"object":`+object)))
		}
	}
	f.Fuzz(checkDecode)
}

// unusualObjects are objects that the API server does not send.
var unusualObjects = []string{
	`{"spec":{"containers":[{"image":"a:1","image":"b:1"}]}}`,
	`{"spec":{"containers":[{"image":"a:1","image":""}]}}`,
	`{"spec":{"containers":[{"image":"a:1"}]},"spec":{"containers":[{"name":"b"}]}}`,
	`{"spec":{"containers":[{"image":"a:1"}]},"spec":{"initContainers":[{"image":"b"}]}}`,
	`{"spec":{"containers":[{"image":"a:1"}]},"spec":null}`,
	`{"spec":{"containers":[{"IMAGE":"a:1","Image":"b:1"}]},"Spec":{"containers":[{"image":"c"}]}}`,
	`{"spec":{"containers":[{"\u0069mage":"\u0061\ud83d\ude00\ud83d\u0022"}]}}`,
	`{"spec":{"containers":[{"image":"a\/b\n\t\"\\"}]}}`,
	"{\"spec\":{\"containers\":[{\"image\":\"\xff\xfea\"}]}}",
	"{\"spec\":{\"containers\":[{\"image\":\"a\x01\"}]}}",
	"\ufeff{}",
	`{"spec":{"containers":[null,{}],"volumes":[null,{"image":null}],"template":{"spec":{"template":null}}}}`,
	`{"metadata":{"labels":{"a":1e999,"b":-0.0e+1},"annotations":null,"generation":123456789012345678901234567890}}`,
	`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":tru}`, `{"a":nul}`, `{"a":NaN}`,
	`{"a":"\x"}`, `{"a":"\u12"}`, `{"a" 1}`, `{"a":1,}`, `{,}`, `[1,]`, `{"a":[1 2]}`, `{'a':1}`, `{"a":1}}`,
	strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 150),
	strings.Repeat(`[`, 201) + strings.Repeat("]", 201),
}

func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	for _, object := range unusualObjects {
		checkDecode(t, []byte(join(uid, pod, create, `"object":`+object)))
	}
	for _, name := range reviews(t) {
		checkDecode(t, review(t, name))
	}
}

func checkDecode(t *testing.T, body []byte) {
	want, duplicates, wantErr := decodeSlowly(body)
	got, err := decodeBody(body)
	switch {
	case err != nil && wantErr == nil && want.Request != nil && want.Request.request().check() == nil && want.APIVersion == admissionReview.apiVersion && want.Kind == admissionReview.kind:
		if !strings.Contains(err.Error(), "occurs twice") && !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("rejected %q: %v", body, err)
		}
	case err == nil && wantErr != nil:
		t.Errorf("accepted %q, encoding/json says %v", body, wantErr)
	case err == nil && !duplicates:
		if diff := cmp.Diff(want.Request.request(), got, equalRequests); diff != "" {
			t.Errorf("request of %q (-encoding/json +got):\n%s", body, diff)
		}
	}
}
