package admission

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

const (
	// maxFaults is how many faults are spelled out: a pod can have a million
	// containers, and a person reads the first few.
	maxFaults = 10
	// maxCounted is how many are looked for, so that such a pod is answered before
	// the API server gives up.
	maxCounted = 1000
)

// faults are the images that an object is refused for, or warned about.
type faults struct {
	mirrors image.Mirrors
	first   []fault
	count   int
}

// enough reports whether there is no need to look for more.
func (f *faults) enough() bool { return f.count >= maxCounted }

// find adds the images that may not run.
func (f *faults) find(policy *image.Policy, images iter.Seq[podimages.Image]) {
	for at := range images {
		if err := policy.Check(at.Reference); err != nil {
			f.add(at, err)
		}
		if f.enough() {
			return
		}
	}
}

func (f *faults) add(at podimages.Image, err error) {
	f.count++
	if f.count > maxFaults {
		return
	}
	one := fault{Image: at, written: f.mirrors.Origins(at.Reference)}
	if !errors.As(err, &one.tag) {
		one.unread = err
	}
	f.first = append(f.first, one)
}

// String returns all faults as the message of a denial: one on one line,
// several on a line each.
func (f *faults) String() string {
	if f.count == 1 {
		return f.first[0].String()
	}
	var message strings.Builder
	if f.enough() {
		message.WriteString("at least ")
	}
	fmt.Fprintf(&message, "%d images are not allowed", f.count)
	for _, one := range f.first {
		message.WriteString("\n- " + one.String())
	}
	if more := f.more(); more != "" {
		message.WriteString("\n- and " + more)
	}
	return message.String()
}

// warnings returns a warning for each fault, with what else there is to say.
func (f *faults) warnings(and string) (warnings []string) {
	for _, one := range f.first {
		warnings = append(warnings, one.warning(and))
	}
	if more := f.more(); more != "" {
		warnings = append(warnings, "and "+more+" images are not allowed"+and)
	}
	return warnings
}

// more says how many faults are not spelled out, if any.
func (f *faults) more() string {
	more := f.count - len(f.first)
	switch {
	case more == 0:
		return ""
	case f.enough():
		return fmt.Sprintf("at least %d more", more)
	}
	return fmt.Sprintf("%d more", more)
}
