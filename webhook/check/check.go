// Package check applies the rules to the images in manifests, before anything is in a cluster, and can
// replace images by those on their mirrors.
//
// check.go passes documents through workers to a report.Writer, in their order; sources.go finds the files;
// object.go checks an object; imagepath.go has the fields of kinds that Kubernetes does not know; fix.go
// rewrites files. Verdicts and mirrored images are those of package admission, and the fields those of
// package podimages, so that they are the same as in the server.
//
// Memory is bounded by the largest document, and by the images of a file if files are rewritten.
package check

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/manifest"
	"github.com/image-webhook/image-webhook/webhook/report"
)

// Options configure a check.
type Options struct {
	Rules      *admission.Rules
	ImagePaths ImagePaths
	FixMirrors bool      // whether files get the mirrored images
	Stdin      io.Reader // for the path "-"
	// Progress is called after each document with their number. nil: nobody wants to know.
	Progress func(documents int)
}

// Found is what was found, besides the images and problems that were written.
type Found struct {
	report.Summary
	// Mirrored are the images that belong on a mirror, each once, with their first places. An image whose
	// original is unknown is not one of them.
	Mirrored []report.Missing
}

// Run checks the manifests at paths: files, directories, or "-". It writes each image and each problem to
// out, but does not close it. Its error is one of out, or that of ctx.
func Run(ctx context.Context, paths []string, o Options, out report.Writer) (Found, error) {
	group, ctx := errgroup.WithContext(ctx)
	c := &collector{options: o, out: out, asked: map[string]bool{}}
	r := &reader{
		options: o,
		jobs:    make(chan *job),
		ordered: make(chan *job, maxQueued),
		memory:  semaphore.NewWeighted(manifest.MaxDocument),
	}
	group.Go(func() error {
		defer close(r.jobs)
		defer close(r.ordered)
		return r.read(ctx, paths)
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for j := range r.jobs {
				j.run(o)
			}
			return nil
		})
	}
	group.Go(func() error { return c.collect(ctx, r) })
	err := group.Wait()
	return c.Found, err
}

// maxQueued is the number of documents that are read before they are written.
const maxQueued = 256

// job is the check of a document, or a place in the order of documents.
type job struct {
	file     *source
	document *manifest.Document // nil: the end of the file
	problem  *report.Problem    // at the end of the file: why it was not read completely
	size     int64              // of the memory that is reserved

	done   chan struct{} // closed after the check
	result result
}

// run checks the document.
func (j *job) run(o Options) {
	defer close(j.done)
	j.result = checkDocument(j.file.name, j.document, o)
	j.document = nil // its text can be large
}

// reader reads documents and passes each to the workers and, in their order, to the collector.
type reader struct {
	options Options
	jobs    chan *job
	ordered chan *job
	memory  *semaphore.Weighted // bytes of documents
}

// read reads all files.
func (r *reader) read(ctx context.Context, paths []string) error {
	keyOf := filepath.Clean
	if r.options.FixMirrors {
		keyOf = realPath // a file cannot be rewritten under two names
	}
	return walk(paths, keyOf, func(file *source) error {
		problem := file.problem
		if problem == nil {
			problem = r.readFile(ctx, file)
		}
		return r.order(ctx, &job{file: file, problem: problem})
	})
}

// readFile reads the documents of a file. It returns why it could not read all of them.
func (r *reader) readFile(ctx context.Context, file *source) *report.Problem {
	in, err := file.open(ctx, r.options.Stdin)
	if err != nil {
		return file.problemOf(err)
	}
	defer func() { _ = in.Close() }() // it was only read
	documents := 0
	err = manifest.Split(in, func(d *manifest.Document) bool {
		documents++
		return r.pass(ctx, file, d) == nil
	})
	switch {
	case ctx.Err() != nil:
		return nil // the caller reports it
	case err != nil:
		return file.problemOf(err)
	case documents == 0 && file.isStdin():
		return file.problemOf(errors.New("standard input is empty: check the command before the pipe"))
	}
	return nil
}

// pass passes a document on, when there is memory for it.
func (r *reader) pass(ctx context.Context, file *source, d *manifest.Document) error {
	j := &job{file: file, document: d, size: int64(d.Size()), done: make(chan struct{})}
	if err := r.memory.Acquire(ctx, j.size); err != nil {
		return err
	}
	if err := r.order(ctx, j); err != nil {
		return err
	}
	select {
	case r.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *reader) order(ctx context.Context, j *job) error {
	select {
	case r.ordered <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collector writes results in the order of the documents.
type collector struct {
	Found
	options   Options
	out       report.Writer
	documents int
	asked     map[string]bool // the mirrored images in Found

	file result // of the documents so far, if files are rewritten
}

func (c *collector) collect(ctx context.Context, r *reader) error {
	for j := range r.ordered {
		if j.done == nil {
			if err := c.endFile(j); err != nil {
				return err
			}
			continue
		}
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.memory.Release(j.size)
		if err := c.add(j.result); err != nil {
			return err
		}
		c.documents++
		if c.options.Progress != nil {
			c.options.Progress(c.documents)
		}
	}
	return ctx.Err()
}

// add writes the result of a document, or keeps it until the file was rewritten.
func (c *collector) add(r result) error {
	c.Objects += r.objects
	for _, m := range r.mirrored {
		if !c.asked[m.To] {
			c.asked[m.To] = true
			c.Mirrored = append(c.Mirrored, m)
		}
	}
	if !c.options.FixMirrors {
		return c.write(r)
	}
	c.file.images = append(c.file.images, r.images...)
	c.file.problems = append(c.file.problems, r.problems...)
	return nil
}

// endFile rewrites the file, if that is asked for, and writes what was kept.
func (c *collector) endFile(j *job) error {
	kept := c.file
	c.file = result{}
	if j.problem != nil {
		kept.problems = append(kept.problems, *j.problem)
	}
	if !j.file.isMissing {
		c.Files++
	}
	if c.options.FixMirrors {
		kept.fix(j.file)
	}
	return c.write(kept)
}

func (c *collector) write(r result) error {
	for _, image := range r.images {
		c.Images++
		if len(image.Violations) > 0 {
			c.Violations++
		}
		if image.Fixed {
			c.Fixed++
		}
		if err := c.out.Image(image.Image); err != nil {
			return err
		}
	}
	for _, problem := range r.problems {
		c.Problems++
		if err := c.out.Problem(problem); err != nil {
			return err
		}
	}
	return nil
}
