package admission

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// record logs what a person may later ask about: which object was refused or
// warned about, and which image became which.
func record(log *slog.Logger, req *Request, resp *admissionv1.AdmissionResponse) {
	switch {
	case !resp.Allowed:
		log.Warn("denied", who(req), slog.String("reason", clip(resp.Result.Message, maxLogged)))
	case len(resp.Warnings) > 0:
		log.Warn("warned", who(req), slog.String("reason", clip(strings.Join(resp.Warnings, "\n"), maxLogged)))
	case len(resp.Patch) > 0:
		rewrites := slices.Sorted(maps.Values(resp.AuditAnnotations))
		log.Info("mirrored", who(req), slog.String("images", clip(strings.Join(rewrites, ", "), maxLogged)))
	}
}

// who names the object of a request for the log, as kubectl does.
func who(req *Request) slog.Attr {
	return slog.Group("",
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)))
}
