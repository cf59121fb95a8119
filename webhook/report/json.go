package report

import "io"

// jsonWriter writes one JSON object, with a line for each image. It writes the images when it gets them;
// problems, which come between them, follow later.
type jsonWriter struct {
	out      io.Writer
	images   list
	problems []Problem
	missing  []Missing
}

// jsonImage is an image with a list of violations even if it is empty, so that scripts need not
// distinguish.
type jsonImage struct {
	Image
	Violations []Violation `json:"violations"`
}

func (w *jsonWriter) Image(i Image) error {
	if err := w.start(); err != nil {
		return err
	}
	if i.Violations == nil {
		i.Violations = []Violation{}
	}
	return w.images.add(w.out, jsonImage{i, i.Violations})
}

func (w *jsonWriter) Problem(p Problem) error {
	w.problems = append(w.problems, p)
	return nil
}

func (w *jsonWriter) Missing(m Missing) error {
	w.missing = append(w.missing, m)
	return nil
}

// start writes the beginning, unless it is written.
func (w *jsonWriter) start() error {
	if w.images.started {
		return nil
	}
	_, err := io.WriteString(w.out, "{\n\"images\": ")
	return err
}

func (w *jsonWriter) Close(s Summary) error {
	if err := w.start(); err != nil {
		return err
	}
	if err := w.images.end(w.out); err != nil {
		return err
	}
	if err := writeList(w.out, ",\n\"missing\": ", w.missing); err != nil {
		return err
	}
	if err := writeList(w.out, ",\n\"problems\": ", w.problems); err != nil {
		return err
	}
	summary, err := encode(s)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w.out, ",\n\"summary\": "+string(summary)+"\n}\n")
	return err
}

// writeList writes a list after its name.
func writeList[T any](out io.Writer, name string, values []T) error {
	if _, err := io.WriteString(out, name); err != nil {
		return err
	}
	var written list
	for _, value := range values {
		if err := written.add(out, value); err != nil {
			return err
		}
	}
	return written.end(out)
}

// list is a list of JSON that is written value by value, one on each line.
type list struct{ started bool }

func (l *list) add(out io.Writer, value any) error {
	encoded, err := encode(value)
	if err != nil {
		return err
	}
	separator := ",\n"
	if !l.started {
		l.started, separator = true, "[\n"
	}
	_, err = io.WriteString(out, separator+string(encoded))
	return err
}

func (l *list) end(out io.Writer) error {
	end := "\n]"
	if !l.started {
		l.started, end = true, "[]"
	}
	_, err := io.WriteString(out, end)
	return err
}
