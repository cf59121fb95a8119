package admission

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// review logs a denial, warnings or changes of an object.
func (r *reporter) review(req *Request, resp *Response) {
	switch resp.outcome() {
	case Denied:
		r.object(slog.LevelWarn, "denied", req, images(resp), reason(resp.Message))
	case Warned:
		r.object(slog.LevelWarn, "warned", req, images(resp), reason(strings.Join(resp.Warnings, "\n")))
	case Changed:
		if r.log.Enabled(context.Background(), r.changeLevel) {
			r.object(r.changeLevel, "changed", req, slog.String("fields", describeChanges(resp.Changes)))
		}
	}
}

// object logs a message about the object of a request. It names the object in the notation of
// kubectl. The uid is also in the audit log.
func (r *reporter) object(level slog.Level, message string, req *Request, attrs ...slog.Attr) {
	r.write(level, message, append([]slog.Attr{
		slog.String("namespace", clip(req.Namespace, maxQuoted)),
		slog.String("object", strings.ToLower(req.Kind.Kind)+"/"+clip(req.Object.DisplayName(), maxQuoted)),
		slog.String("user", clip(req.User, maxQuoted)),
		slog.String("uid", clip(req.UID, maxQuoted)),
	}, attrs...)...)
}

// write logs a message. Unlike log.LogAttrs, it does not look up the line of the code that logs.
func (r *reporter) write(level slog.Level, message string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !r.log.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, message, 0)
	for _, attr := range attrs {
		if !attr.Equal(slog.Attr{}) {
			record.AddAttrs(attr)
		}
	}
	_ = r.log.Handler().Handle(ctx, record) // nobody to tell
}

// images returns the disallowed images as an attribute, or no attribute if there are none, such as
// in a warning about a mode.
func images(resp *Response) slog.Attr {
	if len(resp.Disallowed.Images) == 0 {
		return slog.Attr{}
	}
	return imageList(resp.Disallowed)
}

// imageList returns the images until they have more than maxLogged bytes.
func imageList(d Disallowed) slog.Attr {
	var shown []string
	size := 0
	for _, reference := range d.Images {
		shown = append(shown, clip(reference, maxQuoted))
		if size += len(reference); size > maxLogged {
			break
		}
	}
	return slog.Any("images", shown)
}

func reason(text string) slog.Attr { return slog.String("reason", clip(text, maxLogged)) }

// answer logs the full review and answer at level debug. They contain the environment variables
// of pods.
func (r *reporter) answer(ctx context.Context, path string, x *exchange) {
	if r.log.Enabled(ctx, slog.LevelDebug) {
		r.log.Debug("answered", "path", path, "review", string(x.body), "answer", string(bytes.TrimSpace(x.answer)))
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

// Printable returns s without control characters and invisible characters. It is for texts of the
// administrator, which can be in any language.
func Printable(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// clip returns at most the first n bytes of s, followed by dots if s is longer.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
