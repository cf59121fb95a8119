package admission

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// record logs what a person may later ask about: which object was refused or
// warned about, and what was changed into what.
func record(log *slog.Logger, req *Request, resp *admissionv1.AdmissionResponse) {
	switch {
	case !resp.Allowed:
		log.Warn("denied", who(req), slog.String("reason", clip(resp.Result.Message, maxLogged)))
	case len(resp.Warnings) > 0:
		log.Warn("warned", who(req), slog.String("reason", clip(strings.Join(resp.Warnings, "\n"), maxLogged)))
	case len(resp.Patch) > 0:
		log.Info("changed", who(req), slog.String("fields", clip(list(resp.AuditAnnotations), maxLogged)))
	}
}

// recordAnswer logs a review and its answer as they are, for a person who looks for
// the reason of an answer. What a pod's environment holds is in them.
func recordAnswer(ctx context.Context, log *slog.Logger, path string, body []byte, answer any) {
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if encoded, err := json.Marshal(answer); err == nil {
		log.Debug("answered", "path", path, "review", string(body), "answer", string(encoded))
	}
}

// list returns the notes for the audit log on one line, by the paths of the
// fields.
func list(notes map[string]string) string {
	lines := make([]string, 0, len(notes))
	for key, note := range notes {
		lines = append(lines, key+": "+note)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// who names the object of a request for the log, as kubectl does.
func who(req *Request) slog.Attr {
	return slog.Group("",
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)))
}
