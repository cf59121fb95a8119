// Package report writes what `kubectl image-webhook check` finds, in the formats of terminals, scripts
// and CI systems. Each format has a file.
//
// A Writer writes each finding when it gets it, as far as its format allows. It is not for concurrent
// use. Texts of manifests are untrusted: no format lets them control a terminal or break out of a field.
package report

// Image is an image in a manifest.
type Image struct {
	Place
	Object     string      `json:"object"`              // in kubectl's notation: deployment/web
	Namespace  string      `json:"namespace,omitempty"` // as written
	Field      string      `json:"field"`               // spec.template.spec.containers[0].image
	Holder     string      `json:"-"`                   // container "web"; empty: unknown
	Image      string      `json:"image"`               // as written
	Mirrored   string      `json:"mirrored,omitempty"`  // what is stored in the pod instead
	Fixed      bool        `json:"fixed,omitempty"`     // the file has the mirrored image now
	Violations []Violation `json:"violations,omitempty"`
}

// Place is a place in a file.
type Place struct {
	File     string `json:"file"`               // as the user named it; "-" for standard input
	Document int    `json:"document,omitempty"` // from 1; 0: unknown
	Line     int    `json:"line,omitempty"`     // from 1; 0: unknown
	Column   int    `json:"column,omitempty"`   // from 1, in characters; 0: unknown
}

// Violation is a rule that an image breaks.
type Violation struct {
	Rule   string `json:"rule"`   // as in the metrics: no_tag
	Reason string `json:"reason"` // no tag means tag "latest", which is not allowed ...
	Remedy string `json:"remedy"` // use a fixed tag such as ...
}

// Problem is something that could not be read or asked, so that the result is incomplete.
type Problem struct {
	Place
	Message string `json:"message"` // <what failed>: <cause>: <what to do>, without the place
}

// Missing is an image that its mirror does not have.
type Missing struct {
	Place        // the first use
	From  string `json:"from"` // the complete reference of the original image
	To    string `json:"to"`   // the reference on the mirror
}

// Summary counts what was checked.
type Summary struct {
	Files      int `json:"files"`
	Objects    int `json:"objects"` // that can have images
	Images     int `json:"images"`
	Violations int `json:"violations"` // images that break a rule
	Missing    int `json:"missing,omitempty"`
	Fixed      int `json:"fixed,omitempty"` // images
	Problems   int `json:"problems"`
}
