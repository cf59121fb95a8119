package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

// textWriter writes lines for a terminal: those of violations and problems have the form of a compiler's,
// and those of missing images are the arguments of a command that copies them.
type textWriter struct {
	out   io.Writer
	color bool
}

const (
	bold   = "\033[1m"
	red    = "\033[31m"
	green  = "\033[32m"
	yellow = "\033[33m"
	reset  = "\033[0m"
)

// paint returns text in a color, if there are colors.
func (w *textWriter) paint(color, text string) string {
	if !w.color || text == "" {
		return text
	}
	return color + text + reset
}

// start returns the place in front of a line.
func (w *textWriter) start(p Place) string {
	if place := p.position(); place != "" {
		return w.paint(bold, place+":") + " "
	}
	return ""
}

// position returns the place in the form FILE:LINE:COLUMN, as far as it is known.
func (p Place) position() string {
	text := terminaltext.Clean(p.File)
	if p.File == "-" {
		text = "<stdin>"
	}
	switch {
	case p.File == "":
	case p.Line > 0:
		text += ":" + strconv.Itoa(p.Line)
		if p.Column > 0 {
			text += ":" + strconv.Itoa(p.Column)
		}
	case p.Document > 0:
		text += ": document " + strconv.Itoa(p.Document)
	}
	return text
}

func (w *textWriter) Image(i Image) error {
	start := w.start(i.Place) + terminaltext.Clean(i.Object+": "+i.Field) + ": "
	if i.Fixed {
		if err := w.print(start + w.paint(green, "fixed:") + " " + quote(i.Image) + " -> " + quote(i.Mirrored)); err != nil {
			return err
		}
	}
	for _, broken := range i.Violations {
		line := start + i.named() + ": " + w.paint(red, terminaltext.Clean(broken.Reason)) + ": " + terminaltext.Clean(broken.Remedy)
		if err := w.print(line); err != nil {
			return err
		}
	}
	return nil
}

func (w *textWriter) Problem(p Problem) error {
	return w.print(w.start(p.Place) + w.paint(red, "error:") + " " + terminaltext.Clean(p.Message))
}

func (w *textWriter) Missing(m Missing) error {
	return w.print(w.paint(yellow, "missing") + " " + terminaltext.Clean(m.From) + " " + terminaltext.Clean(m.To))
}

func (w *textWriter) Close(s Summary) error {
	color := green
	if s.Violations > 0 || s.Missing > 0 || s.Problems > 0 {
		color = red
	}
	return w.print(w.paint(color, s.String()))
}

func (w *textWriter) print(line string) error {
	_, err := fmt.Fprintln(w.out, line)
	return err
}
