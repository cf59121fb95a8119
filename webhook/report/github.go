package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

// githubWriter writes workflow commands: GitHub Actions shows them at the lines of a pull request. GitHub
// shows at most ten of a step; the log has all of them. See
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
type githubWriter struct{ out io.Writer }

func (w githubWriter) Image(i Image) error {
	if i.Fixed {
		message := i.Object + ": " + i.Field + ": fixed: " + quote(i.Image) + " -> " + quote(i.Mirrored)
		if err := w.command("notice", i.Place, "image fixed", message); err != nil {
			return err
		}
	}
	for _, broken := range i.Violations {
		if err := w.command("error", i.Place, "image not allowed", i.describe()+": "+broken.String()); err != nil {
			return err
		}
	}
	return nil
}

func (w githubWriter) Problem(p Problem) error {
	return w.command("error", p.Place, "incomplete check", p.Message)
}

func (w githubWriter) Missing(m Missing) error {
	return w.command("error", m.Place, "image missing on its mirror", m.describe())
}

func (w githubWriter) Close(s Summary) error {
	_, err := fmt.Fprintln(w.out, s)
	return err
}

// command writes a command. It omits the properties that are unknown.
func (w githubWriter) command(name string, p Place, title, message string) error {
	var properties []string
	if p.File != "" && p.File != "-" {
		properties = append(properties, "file="+escapeProperty(filepath.ToSlash(p.File)))
		if p.Line > 0 {
			properties = append(properties, "line="+strconv.Itoa(p.Line))
		}
		if p.Line > 0 && p.Column > 0 {
			properties = append(properties, "col="+strconv.Itoa(p.Column))
		}
	}
	properties = append(properties, "title="+escapeProperty(title))
	_, err := fmt.Fprintf(w.out, "::%s %s::%s\n", name, strings.Join(properties, ","), escapeMessage(message))
	return err
}

// The escape sequences are those of @actions/core. Texts are cleaned first, so that they cannot control
// the terminal of somebody who reads the log.
var (
	messageEscapes  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func escapeMessage(s string) string  { return messageEscapes.Replace(terminaltext.Clean(s)) }
func escapeProperty(s string) string { return propertyEscapes.Replace(terminaltext.Clean(s)) }
