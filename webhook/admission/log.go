package admission

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// record logs a denial, warnings or changes, with the name of the object.
func record(log *slog.Logger, req *Request, resp *admissionv1.AdmissionResponse) {
	switch {
	case !resp.Allowed:
		log.Warn("denied", objectOf(req), slog.String("reason", clip(resp.Result.Message, maxLogged)))
	case len(resp.Warnings) > 0:
		log.Warn("warned", objectOf(req), slog.String("reason", clip(strings.Join(resp.Warnings, "\n"), maxLogged)))
	case len(resp.Patch) > 0:
		log.Info("changed", objectOf(req), slog.String("fields", clip(joinNotes(resp.AuditAnnotations), maxLogged)))
	}
}

// recordAnswer logs the full review and answer at level debug. They contain the environment
// variables of pods.
func recordAnswer(ctx context.Context, log *slog.Logger, path string, body []byte, answer any) {
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if encoded, err := json.Marshal(answer); err == nil {
		log.Debug("answered", "path", path, "review", string(body), "answer", string(encoded))
	}
}

// joinNotes returns the notes for the audit log on one line, ordered by field.
func joinNotes(notes map[string]string) string {
	lines := make([]string, 0, len(notes))
	for key, note := range notes {
		lines = append(lines, key+": "+note)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// objectOf returns the namespace and the name of the request's object as log attributes, in
// the notation of kubectl.
func objectOf(req *Request) slog.Attr {
	return slog.Group("",
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)))
}

const (
	// maxQuoted is the maximum size of a quoted value in bytes. The path, tag and digest
	// of an image can have 520 bytes; the rest is for its registry.
	maxQuoted = 640
	// maxLogged is the maximum size of a log attribute in bytes.
	maxLogged = 2048
)

// quote returns at most maxQuoted bytes of s, in quotes and in ASCII.
func quote(s string) string {
	return strconv.QuoteToASCII(clip(s, maxQuoted))
}

// plain returns s in ASCII without control characters: the text of one user must not
// control the terminal of another.
func plain(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

// clip returns at most the first n bytes of s, followed by dots if s is longer.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
