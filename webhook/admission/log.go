package admission

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// record logs a denial, warnings or changes, with the name of the object.
func record(log *slog.Logger, req *Request, resp *Response) {
	switch {
	case !resp.Allowed:
		recordText(log, slog.LevelWarn, "denied", req, "reason", resp.Message)
	case len(resp.Warnings) > 0:
		recordText(log, slog.LevelWarn, "warned", req, "reason", strings.Join(resp.Warnings, "\n"))
	case len(resp.Changes) > 0 && log.Enabled(context.Background(), slog.LevelInfo):
		recordText(log, slog.LevelInfo, "changed", req, "fields", describeChanges(resp.Changes))
	}
}

// recordText logs a text about the request's object. It names the object in the notation of
// kubectl. It does not look up the line of the code that logs, as log.LogAttrs does.
func recordText(log *slog.Logger, level slog.Level, message string, req *Request, key, text string) {
	ctx := context.Background()
	if !log.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, message, 0)
	record.AddAttrs(
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)),
		slog.String(key, clip(text, maxLogged)))
	_ = log.Handler().Handle(ctx, record) // nobody to tell
}

// recordAnswer logs the full review and answer at level debug. They contain the environment
// variables of pods.
func recordAnswer(ctx context.Context, log *slog.Logger, path string, x *exchange) {
	if log.Enabled(ctx, slog.LevelDebug) {
		log.Debug("answered", "path", path, "review", string(x.body), "answer", string(bytes.TrimSpace(x.answer)))
	}
}

// describeChanges returns the changes as one word, which needs no quotes in the log.
func describeChanges(changes []Change) string {
	text := make([]byte, 0, 512) // enough for a pod with few containers
	for i, c := range changes {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, c.Field...), ':'), c.From...)
		if text = append(append(text, "->"...), c.To...); len(text) > maxLogged {
			break
		}
	}
	return string(text)
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
