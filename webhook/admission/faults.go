package admission

import (
	"errors"
	"fmt"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// maxFaults is how many faults are spelled out: a pod can have a million
// containers, and a person reads the first few.
const maxFaults = 10

// faults are the images that an object is refused for, or warned about.
type faults struct {
	mirrors image.Mirrors
	first   []fault
	count   int
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
	fmt.Fprintf(&message, "%d images are not allowed", f.count)
	for _, one := range f.first {
		message.WriteString("\n- " + one.String())
	}
	if more := f.count - len(f.first); more > 0 {
		fmt.Fprintf(&message, "\n- and %d more", more)
	}
	return message.String()
}

// warnings returns a warning for each fault, with what else there is to say.
func (f *faults) warnings(and string) (warnings []string) {
	for _, one := range f.first {
		warnings = append(warnings, one.warning(and))
	}
	if more := f.count - len(f.first); more > 0 {
		warnings = append(warnings, fmt.Sprintf("and %d more images are not allowed%s", more, and))
	}
	return warnings
}
