package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/terminaltext"
)

const (
	homepage = "https://github.com/image-webhook/image-webhook"
	// sarifSchema is where OASIS publishes the schema.
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// maxResults is the number of results that GitHub accepts: it rejects a file with more of them. See
	// https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support.
	maxResults = 25000
	// ruleMissing is the rule that an image breaks that its mirror does not have. Only reports know it.
	ruleMissing = "missing_image"
)

// sarifWriter writes one run in the format SARIF 2.1.0. It writes each result when it gets it; the
// notifications follow, because problems come between the results.
type sarifWriter struct {
	out           io.Writer
	version       string
	results       list
	written, cut  int // results
	notifications []sarifNotification
	fingerprints  occurrences
}

func newSARIF(version string, out io.Writer) *sarifWriter {
	return &sarifWriter{out: out, version: version}
}

type (
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  sarifText      `json:"fullDescription"`
		Help             sarifText      `json:"help"`
		HelpURI          string         `json:"helpUri"`
		Configuration    sarifLevel     `json:"defaultConfiguration"`
		Properties       map[string]any `json:"properties"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    *int              `json:"ruleIndex,omitempty"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Properties   map[string]any    `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		Name          string `json:"name"`
		QualifiedName string `json:"fullyQualifiedName"`
		Kind          string `json:"kind"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
)

// sarifRules are the rules of package image, in its order, and ruleMissing. GitHub shows the help beside
// each alert.
var sarifRules = []sarifRule{
	newRule("denied_image", "Denied image",
		"The policy denies this image by its name.",
		"Use another image. The message has the administrator's reason."),
	newRule("registry", "Registry is not allowed",
		"The policy allows images only of some registries, or of mirrors of them.",
		"Use an image of an allowed registry. The message names them, or the name of the image on a mirror."),
	newRule("digest", "Digest is required",
		"The policy requires a digest for this image, so that the image cannot change.",
		"Add the digest to the image, as in nginx:1.27@sha256:.... Tools such as crane print it: crane digest nginx:1.27"),
	newRule("tag", "Tag is not allowed",
		"The policy does not allow this tag, because its image can change.",
		"Use a fixed tag, as in nginx:1.27.3, or a digest."),
	newRule("no_tag", "Image has no tag",
		"An image without a tag has the tag latest. The policy does not allow it, because its image can change.",
		"Add a fixed tag, as in nginx:1.27.3, or a digest."),
	newRule("invalid_reference", "Invalid image reference",
		"This text is not the name of an image, so nodes cannot pull it.",
		"Use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST, without spaces and in lower case."),
	newRule(ruleMissing, "Image is missing on its mirror",
		"A mirror rule replaces the image with its name on the mirror, but the mirror does not have it, so "+
			"nodes cannot pull it.",
		"Copy the image to the mirror: crane copy FROM TO. The message has both names."),
}

// message returns a text in which SARIF finds no link: image names could have links to other sites.
func message(text string) sarifText { return sarifText{Text: strings.ReplaceAll(text, "](", "] (")} }

func newRule(id, title, description, help string) sarifRule {
	return sarifRule{
		ID: id, ShortDescription: sarifText{Text: title}, FullDescription: sarifText{Text: description},
		Help:          sarifText{Text: description + " " + help, Markdown: description + "\n\n" + help},
		HelpURI:       homepage + "/blob/main/docs/policy.md",
		Configuration: sarifLevel{"error"},
		Properties:    map[string]any{"tags": []string{"kubernetes", "container-images"}, "problem.severity": "error"},
	}
}

func (w *sarifWriter) Image(i Image) error {
	for _, broken := range i.Violations {
		result := sarifResult{
			RuleID: broken.Rule, Level: "error", Message: message(i.describe() + ": " + broken.String()),
			Locations: []sarifLocation{locationOf(i)}, Properties: propertiesOf(i),
			Fingerprints: w.fingerprint(i.File, i.qualified(), i.Field, broken.Rule, i.Image),
		}
		if err := w.add(result); err != nil {
			return err
		}
	}
	return nil
}

// locationOf returns where an image is in its file and in its object. The region ends with the line,
// because only the parser knows where a scalar ends.
func locationOf(i Image) sarifLocation {
	object := terminaltext.Clean(i.qualified())
	return sarifLocation{Physical: physical(i.Place), Logical: []sarifLogical{
		{Name: terminaltext.Clean(i.Object), QualifiedName: object, Kind: "resource"},
		{Name: terminaltext.Clean(i.Field), QualifiedName: object + "/" + terminaltext.Clean(i.Field), Kind: "property"},
	}}
}

// propertiesOf returns what has no field in SARIF, for scripts.
func propertiesOf(i Image) map[string]any {
	properties := map[string]any{"image": i.Image}
	if i.Mirrored != "" {
		properties["mirrored"] = i.Mirrored
	}
	if i.Document > 0 {
		properties["document"] = i.Document
	}
	return properties
}

// fingerprint identifies a result in later runs, even if lines moved. The key is not that of GitHub, which
// calculates its own from the text around a line and complains about another value.
func (w *sarifWriter) fingerprint(file string, identity ...string) map[string]string {
	hash := sha256.Sum256([]byte(file + "\x00" + strings.Join(identity, "\x00")))
	text := hex.EncodeToString(hash[:16])
	return map[string]string{"imageUse/v1": text + ":" + strconv.Itoa(w.fingerprints.next(file, text))}
}

// physical returns a place in a file; nil if the file is unknown.
func physical(p Place) *sarifPhysical {
	if p.File == "" {
		return nil
	}
	location := &sarifPhysical{Artifact: sarifArtifact{artifactURI(p.File)}}
	if p.Line > 0 {
		location.Region = &sarifRegion{p.Line, p.Column}
	}
	return location
}

// artifactURI returns a file as a URI: relative ones are relative to the root of the repository if the
// program runs there.
func artifactURI(file string) string {
	if file == "-" {
		return "stdin" // GitHub accepts no result without a file
	}
	path := filepath.ToSlash(filepath.Clean(file))
	if filepath.IsAbs(file) {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path // the drive of Windows
		}
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return (&url.URL{Path: path}).String()
}

func (w *sarifWriter) Problem(p Problem) error {
	notification := sarifNotification{Level: "error", Message: message(terminaltext.Clean(p.Message))}
	if location := physical(p.Place); location != nil {
		notification.Locations = []sarifLocation{{Physical: location}}
	}
	w.notifications = append(w.notifications, notification)
	return nil
}

func (w *sarifWriter) Missing(m Missing) error {
	result := sarifResult{
		RuleID: ruleMissing, Level: "error", Message: message(m.describe()),
		Properties: map[string]any{"from": m.From, "to": m.To}, Fingerprints: w.fingerprint(m.File, ruleMissing, m.To),
	}
	if location := physical(m.Place); location != nil {
		result.Locations = []sarifLocation{{Physical: location}}
	}
	return w.add(result)
}

// add writes a result, unless there are already too many.
func (w *sarifWriter) add(result sarifResult) error {
	if w.written == maxResults {
		w.cut++
		return nil
	}
	if err := w.start(); err != nil {
		return err
	}
	for i, rule := range sarifRules {
		if rule.ID == result.RuleID {
			result.RuleIndex = &i
		}
	}
	w.written++
	return w.results.add(w.out, result)
}

// start writes the beginning, unless it is written.
func (w *sarifWriter) start() error {
	if w.results.started {
		return nil
	}
	tool, err := encode(sarifTool{sarifDriver{"image-webhook", w.version, homepage, sarifRules}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, `{
"$schema": %q,
"version": "2.1.0",
"runs": [{
"tool": %s,
"columnKind": "unicodeCodePoints",
"results": `, sarifSchema, tool)
	return err
}

func (w *sarifWriter) Close(Summary) error {
	if err := w.start(); err != nil {
		return err
	}
	if err := w.results.end(w.out); err != nil {
		return err
	}
	invocation := sarifInvocation{Successful: len(w.notifications) == 0, Notifications: []sarifNotification{}}
	invocation.Notifications = append(invocation.Notifications, w.notifications...)
	if w.cut > 0 {
		text := fmt.Sprintf("omitted %s: code scanning accepts at most %d: check fewer files in each run",
			terminaltext.Count(w.cut, "more result"), maxResults)
		invocation.Notifications = append(invocation.Notifications, sarifNotification{Level: "warning", Message: sarifText{Text: text}})
	}
	encoded, err := encode(invocation)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, ",\n\"invocations\": [%s]\n}]\n}\n", encoded)
	return err
}
