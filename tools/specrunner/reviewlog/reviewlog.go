// Package reviewlog extracts AdmissionReviews from the log of the webhook. The log contains them
// only if the webhook runs with Flags. The package does not know the cluster.
package reviewlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Flags are the flags that the webhook needs in addition to those in its manifest.
var Flags = []string{"--log-level=debug"}

// Exchange is an AdmissionReview that the webhook received, and the one that it returned.
type Exchange struct {
	Path     string // URL path of the request
	received json.RawMessage
	returned json.RawMessage
}

// Exchanges returns the exchanges about objects in the namespaces, in the order of the lines.
func Exchanges(lines, namespaces []string) (found []Exchange) {
	for _, line := range lines {
		if exchange, ok := parse(line); ok && slices.Contains(namespaces, exchange.request().Namespace) {
			found = append(found, exchange)
		}
	}
	return found
}

// OtherLines returns the lines that are not exchanges and that name one of the namespaces or no
// namespace.
func OtherLines(lines, namespaces []string) (found []string) {
	for _, line := range lines {
		if !answered.MatchString(line) && (!strings.Contains(line, " namespace=") || namesAny(line, namespaces)) {
			found = append(found, line)
		}
	}
	return found
}

func namesAny(line string, namespaces []string) bool {
	return slices.ContainsFunc(namespaces, func(n string) bool { return strings.Contains(line, " namespace="+n+" ") })
}

// answered matches the line that package admission logs for an exchange, in the format of
// log/slog: texts are quoted like Go strings.
var answered = regexp.MustCompile(` msg=answered path=(\S+) review=("(?:[^"\\]|\\.)*") answer=("(?:[^"\\]|\\.)*")`)

func parse(line string) (Exchange, bool) {
	groups := answered.FindStringSubmatch(line)
	if groups == nil {
		return Exchange{}, false
	}
	received, err := strconv.Unquote(groups[2])
	if err != nil {
		return Exchange{}, false
	}
	returned, err := strconv.Unquote(groups[3])
	return Exchange{groups[1], json.RawMessage(received), json.RawMessage(returned)}, err == nil
}

// request returns the request of the received review, or an empty one if the review is invalid.
func (e Exchange) request() admissionv1.AdmissionRequest {
	var review admissionv1.AdmissionReview
	if json.Unmarshal(e.received, &review) != nil || review.Request == nil {
		return admissionv1.AdmissionRequest{}
	}
	return *review.Request
}

// JSON returns both reviews as an indented object.
func (e Exchange) JSON() string {
	var indented bytes.Buffer
	_ = json.Indent(&indented, fmt.Appendf(nil, `{"path":%q,"request":%s,"response":%s}`, e.Path, e.received, e.returned), "", "  ")
	return indented.String() + "\n"
}

// String returns the parts of both reviews that matter for images, each on one line.
func (e Exchange) String() string {
	request := e.request()
	text := fmt.Sprintf("%s: %s %s %s/%s\n  object:   %s",
		e.Path, request.Operation, request.Kind.Kind, request.Namespace, objectName(request), withoutNoise(request.Object.Raw))
	var review admissionv1.AdmissionReview
	if json.Unmarshal(e.returned, &review) != nil || review.Response == nil {
		return text + "\n  response: " + string(bytes.TrimSpace(e.returned))
	}
	patch := review.Response.Patch
	review.Response.Patch = nil // JSON would show it in base64
	response, _ := json.Marshal(review.Response)
	text += "\n  response: " + string(response)
	if len(patch) > 0 {
		text += "\n  patch:    " + string(patch)
	}
	return text
}

// objectName returns the name of the object, or the prefix from which the API server generates
// it.
func objectName(request admissionv1.AdmissionRequest) string {
	var object metav1.PartialObjectMetadata
	if request.Name == "" && json.Unmarshal(request.Object.Raw, &object) == nil {
		return object.GenerateName + "*"
	}
	return request.Name
}

// noise are the fields of an object that do not affect its images.
var noise = [][]string{
	{"status"},
	{"metadata", "managedFields"}, {"metadata", "uid"}, {"metadata", "generation"}, {"metadata", "creationTimestamp"},
	{"spec", "tolerations"}, {"spec", "securityContext"}, {"spec", "schedulerName"}, {"spec", "dnsPolicy"},
	{"spec", "priority"}, {"spec", "preemptionPolicy"}, {"spec", "enableServiceLinks"}, {"spec", "terminationGracePeriodSeconds"},
	{"spec", "serviceAccount"}, {"spec", "serviceAccountName"}, {"spec", "restartPolicy"},
}

// withoutNoise removes the noise from an object.
func withoutNoise(object []byte) []byte {
	var fields map[string]any
	if json.Unmarshal(object, &fields) != nil {
		return object
	}
	for _, path := range noise {
		unstructured.RemoveNestedField(fields, path...)
	}
	short, _ := json.Marshal(fields)
	return short
}
