// Package answers finds in the log of the webhook what it was asked about and what it
// answered. The webhook must run with Flags, or there is nothing to find.
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

// Flags are what the webhook gets beside the flags of its manifest.
var Flags = []string{"--log-level=debug"}

// Answer is an AdmissionReview as the webhook got it, and the one that it answered with.
type Answer struct {
	Path   string // that was asked
	asked  json.RawMessage
	answer json.RawMessage
}

// In returns the answers about objects in namespaces, in the order of the lines.
func In(lines, namespaces []string) (found []Answer) {
	for _, line := range lines {
		if each, ok := parse(line); ok && slices.Contains(namespaces, each.request().Namespace) {
			found = append(found, each)
		}
	}
	return found
}

// About returns the lines, without the answers, that are about namespaces or about none.
func About(lines, namespaces []string) (about []string) {
	for _, line := range lines {
		if !answered.MatchString(line) && (!strings.Contains(line, " namespace=") || names(line, namespaces)) {
			about = append(about, line)
		}
	}
	return about
}

func names(line string, namespaces []string) bool {
	return slices.ContainsFunc(namespaces, func(n string) bool { return strings.Contains(line, " namespace="+n+" ") })
}

// answered is how log/slog writes what package admission logs; texts are quoted as Go
// does.
var answered = regexp.MustCompile(` msg=answered path=(\S+) review=("(?:[^"\\]|\\.)*") answer=("(?:[^"\\]|\\.)*")`)

func parse(line string) (Answer, bool) {
	parts := answered.FindStringSubmatch(line)
	if parts == nil {
		return Answer{}, false
	}
	asked, err := strconv.Unquote(parts[2])
	if err != nil {
		return Answer{}, false
	}
	answer, err := strconv.Unquote(parts[3])
	return Answer{parts[1], json.RawMessage(asked), json.RawMessage(answer)}, err == nil
}

// request is what was asked; empty: it is no AdmissionReview.
func (a Answer) request() admissionv1.AdmissionRequest {
	var review admissionv1.AdmissionReview
	if json.Unmarshal(a.asked, &review) != nil || review.Request == nil {
		return admissionv1.AdmissionRequest{}
	}
	return *review.Request
}

// JSON is an object with both reviews, for a person to read.
func (a Answer) JSON() string {
	var indented bytes.Buffer
	_ = json.Indent(&indented, fmt.Appendf(nil, `{"path":%q,"asked":%s,"answered":%s}`, a.Path, a.asked, a.answer), "", "  ")
	return indented.String() + "\n"
}

// String is the essence of both reviews, a part on each line.
func (a Answer) String() string {
	request := a.request()
	said := fmt.Sprintf("%s was asked about %s %s %s/%s\n  object: %s",
		a.Path, request.Operation, request.Kind.Kind, request.Namespace, name(request), essence(request.Object.Raw))
	var answer admissionv1.AdmissionReview
	if json.Unmarshal(a.answer, &answer) != nil || answer.Response == nil {
		return said + "\n  answer: " + string(bytes.TrimSpace(a.answer))
	}
	patch := answer.Response.Patch
	answer.Response.Patch = nil // which would be in base64
	response, _ := json.Marshal(answer.Response)
	said += "\n  answer: " + string(response)
	if len(patch) > 0 {
		said += "\n  patch:  " + string(patch)
	}
	return said
}

// name is that of the object, or what the API server makes it from.
func name(request admissionv1.AdmissionRequest) string {
	var object metav1.PartialObjectMetadata
	if request.Name == "" && json.Unmarshal(request.Object.Raw, &object) == nil {
		return object.GenerateName + "*"
	}
	return request.Name
}

// surroundings are the fields of an object that say nothing of its images.
var surroundings = [][]string{
	{"status"},
	{"metadata", "managedFields"}, {"metadata", "uid"}, {"metadata", "generation"}, {"metadata", "creationTimestamp"},
	{"spec", "tolerations"}, {"spec", "securityContext"}, {"spec", "schedulerName"}, {"spec", "dnsPolicy"},
	{"spec", "priority"}, {"spec", "preemptionPolicy"}, {"spec", "enableServiceLinks"}, {"spec", "terminationGracePeriodSeconds"},
	{"spec", "serviceAccount"}, {"spec", "serviceAccountName"}, {"spec", "restartPolicy"},
}

// essence leaves the surroundings out of an object.
func essence(object []byte) []byte {
	var fields map[string]any
	if json.Unmarshal(object, &fields) != nil {
		return object
	}
	for _, path := range surroundings {
		unstructured.RemoveNestedField(fields, path...)
	}
	shorter, _ := json.Marshal(fields)
	return shorter
}
