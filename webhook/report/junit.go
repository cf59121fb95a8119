package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

// junitWriter writes a test suite for each file, and a test case for each image. It keeps the cases of one
// file, because the counts of a suite come before its cases.
//
// GitLab drops all but the first case of those that have the same class and name, also if they are in
// different suites. Therefore the name of a case contains the file.
type junitWriter struct {
	out     io.Writer
	started bool
	suite   junitSuite
	names   occurrences
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// mirrorSuite is the suite of missing images, and of problems that are not about a file.
const mirrorSuite = "mirrors"

func (w *junitWriter) Image(i Image) error {
	return w.add(i.File, i.Place, junitCase{Class: i.qualified(), Name: i.Field, Failure: failureOf(i)})
}

// failureOf returns what is wrong with an image; nil if it is allowed. It is one failure for all
// violations, because GitLab expects at most one in a case.
func failureOf(i Image) *junitFailure {
	if len(i.Violations) == 0 {
		return nil
	}
	var reasons, text []string
	for _, broken := range i.Violations {
		reasons = append(reasons, broken.String())
		text = append(text, i.position()+": "+i.describe()+": "+broken.String())
	}
	return &junitFailure{
		Message: terminaltext.Clean(i.named() + ": " + strings.Join(reasons, "; ")),
		Type:    i.Violations[0].Rule,
		Text:    strings.Join(text, "\n"),
	}
}

func (w *junitWriter) Problem(p Problem) error {
	text := p.Message
	if place := p.position(); place != "" {
		text = place + ": " + p.Message
	}
	return w.add(p.File, p.Place, junitCase{
		Class: "check", Name: "error",
		Error: &junitFailure{Message: terminaltext.Clean(p.Message), Type: "error", Text: terminaltext.Clean(text)},
	})
}

func (w *junitWriter) Missing(m Missing) error {
	return w.add(mirrorSuite, m.Place, junitCase{
		Class: mirrorSuite, Name: m.To,
		Failure: &junitFailure{Message: m.describe(), Type: ruleMissing, Text: terminaltext.Clean("missing " + m.From + " " + m.To)},
	})
}

// add adds a case to a suite. If this is another suite than that of the last case, it writes the last.
func (w *junitWriter) add(suite string, p Place, c junitCase) error {
	if suite == "" {
		suite = mirrorSuite
	}
	if suite != w.suite.Name {
		if err := w.flush(); err != nil {
			return err
		}
		w.suite = junitSuite{Name: suite}
	}
	if p.File != "" && p.File != "-" {
		c.File = terminaltext.Clean(filepath.ToSlash(p.File))
	}
	c.Class, c.Name = terminaltext.Clean(c.Class), w.name(suite, c)
	w.suite.Tests++
	if c.Failure != nil {
		w.suite.Failures++
	}
	if c.Error != nil {
		w.suite.Errors++
	}
	w.suite.Cases = append(w.suite.Cases, c)
	return nil
}

// name returns a name that no other case has, and that stays the same while lines move.
func (w *junitWriter) name(suite string, c junitCase) string {
	name := c.Name
	if suite != mirrorSuite {
		name += " (" + Place{File: suite}.position() + ")"
	}
	if n := w.names.next(suite, c.Class+" "+name); n > 1 {
		name += fmt.Sprintf(" #%d", n)
	}
	return terminaltext.Clean(name)
}

// flush writes the suite, if it has cases.
func (w *junitWriter) flush() error {
	if err := w.start(); err != nil || len(w.suite.Cases) == 0 {
		return err
	}
	w.suite.Name = Place{File: w.suite.Name}.position()
	encoded, err := xml.MarshalIndent(w.suite, "  ", "  ")
	if err != nil {
		return err
	}
	_, err = w.out.Write(append(encoded, '\n'))
	w.suite = junitSuite{}
	return err
}

// start writes the beginning, unless it is written.
func (w *junitWriter) start() error {
	if w.started {
		return nil
	}
	w.started = true
	_, err := io.WriteString(w.out, xml.Header+"<testsuites name=\"image-webhook\">\n")
	return err
}

func (w *junitWriter) Close(Summary) error {
	if err := w.flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w.out, "</testsuites>\n")
	return err
}
