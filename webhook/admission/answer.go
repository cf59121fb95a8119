package admission

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// Response is the answer to an AdmissionRequest. The zero value denies without a message.
type Response struct {
	Allowed  bool
	Message  string   // of a denial
	Warnings []string // for the user, in any case
	Patch    []byte   // a JSON Patch (RFC 6902); empty: no change
	Changes  []Change // annotations for the audit log

	Disallowed Disallowed // the images of a denial or of warnings, for the log and for metrics
}

// outcome returns what the user notices of the response.
func (r *Response) outcome() Outcome {
	switch {
	case !r.Allowed:
		return Denied
	case len(r.Warnings) > 0:
		return Warned
	case len(r.Patch) > 0:
		return Changed
	}
	return Allowed
}

// Change describes the new value of a field.
type Change struct {
	Field    string // the key of an audit annotation
	From, To string // values; From may be empty
	Rule     string // the mirror rule that applies; empty: another reason
}

// appendText appends the change as text, such as "nginx:1 -> mirror.example/library/nginx:1".
func (c Change) appendText(b []byte) []byte {
	if c.From != "" {
		b = append(append(b, c.From...), ' ')
	}
	return append(append(b, "-> "...), c.To...)
}

// appendString appends the change as a JSON string.
func (c Change) appendString(b []byte) []byte {
	if needsEscape(c.From) || needsEscape(c.To) {
		return appendEscaped(b, string(c.appendText(nil)))
	}
	return append(c.appendText(append(b, '"')), '"')
}

// append appends the AdmissionReview with the response. Encoding it without reflection takes a
// fraction of the time of encoding/json. The type of the patch is set only if there is one:
// otherwise the API server rejects the response. version is that of the rules, or empty.
func (r *Response) append(b []byte, uid, version string) []byte {
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	b = appendString(b, uid)
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, r.Allowed)
	if !r.Allowed {
		b = append(b, `,"status":{"metadata":{},"status":"Failure","message":`...)
		b = appendString(b, r.Message)
		b = append(b, `,"reason":"Forbidden","code":403}`...)
	}
	if len(r.Patch) > 0 {
		b = append(b, `,"patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, r.Patch)
		b = append(b, `","patchType":"JSONPatch"`...)
	}
	b = r.appendAnnotations(b, uid, version)
	b = appendWarnings(b, r.Warnings)
	return append(b, "}}\n"...)
}

// appendAnnotations appends the annotations for the audit log: the changes, the version of the rules, and
// the uid of a denial or a warning. The API server does not write the uid to the audit log itself, and
// without it nobody could find the request of a line in the webhook's log.
func (r *Response) appendAnnotations(b []byte, uid, version string) []byte {
	logged := r.outcome() >= Warned
	if !logged && len(r.Changes) == 0 && version == "" {
		return b
	}
	b = append(b, `,"auditAnnotations":{`...)
	for _, c := range r.Changes {
		b = c.appendString(append(appendString(b, c.Field), ':'))
		b = append(b, ',')
	}
	if version != "" {
		b = append(appendString(append(b, `"policy":`...), version), ',')
	}
	if logged {
		b = append(appendString(append(b, `"uid":`...), uid), ',')
	}
	b[len(b)-1] = '}' // instead of the last comma
	return b
}

func appendWarnings(b []byte, warnings []string) []byte {
	if len(warnings) == 0 {
		return b
	}
	b = append(b, `,"warnings":[`...)
	for i, warning := range warnings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, warning)
	}
	return append(b, ']')
}

// appendString appends a JSON string. Nearly all strings need no escapes.
func appendString(b []byte, s string) []byte {
	if needsEscape(s) {
		return appendEscaped(b, s)
	}
	return append(append(append(b, '"'), s...), '"')
}

// needsEscape reports whether a string has characters that are not printable ASCII, or that
// are special in JSON.
func needsEscape(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return true
		}
	}
	return false
}

// appendEscaped appends a JSON string with escapes. It replaces bytes that are not UTF-8.
func appendEscaped(b []byte, s string) []byte {
	encoded, _ := json.Marshal(s) // encoding a string cannot fail
	return append(b, encoded...)
}
