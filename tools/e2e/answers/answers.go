// Package answers finds in the log of the webhook what it was asked about and what it
// answered. The webhook must run with Flags, or there is nothing to find.
package answers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
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
	said := fmt.Sprintf("%s was asked about %s %s %s/%s\n  object: %s\n  answer: %s",
		a.Path, request.Operation, request.Kind.Kind, request.Namespace, request.Name, essence(request.Object.Raw), bytes.TrimSpace(a.answer))
	var answer admissionv1.AdmissionReview
	if json.Unmarshal(a.answer, &answer) == nil && answer.Response != nil && len(answer.Response.Patch) > 0 {
		said += fmt.Sprintf("\n  patch:  %s", answer.Response.Patch)
	}
	return said
}

// essence leaves out of an object what only the API server reads.
func essence(object []byte) []byte {
	var fields map[string]any
	if json.Unmarshal(object, &fields) != nil {
		return object
	}
	unstructured.RemoveNestedField(fields, "metadata", "managedFields")
	shorter, _ := json.Marshal(fields)
	return shorter
}
