package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/image-webhook/image-webhook/webhook/askmirrors"
)

// addAskMirrors adds the flag --ask-mirrors.
func addAskMirrors(f *pflag.FlagSet, ask *bool) {
	f.BoolVar(ask, "ask-mirrors", false, "ask the mirrors whether they have the images, with the\ncredentials of docker login or podman login")
}

// unasked are images for which a mirror could not be asked, because of the same error.
type unasked struct {
	first  int // index of the first image
	image  string
	others int // how many more images
	err    error
}

func (u *unasked) String() string {
	images := fmt.Sprintf("%q", u.image)
	switch {
	case u.others == 1:
		images += " and 1 other image"
	case u.others > 1:
		images += fmt.Sprintf(" and %d other images", u.others)
	}
	return fmt.Sprintf("cannot ask for %s: %v", images, u.err)
}

// askMirrors asks the mirrors for images. It returns the indexes of those that are missing, and the images
// that could not be asked for.
func askMirrors(ctx context.Context, pairs []askmirrors.Pair, progress *progress) (missing []int, failed []*unasked, err error) {
	answers := askmirrors.Ask(ctx, pairs, askmirrors.Options{
		Progress: func(done, total int) { progress.show("asked mirrors for %d of %d images", done, total) },
	})
	byError := map[string]*unasked{}
	for i, answer := range answers {
		switch {
		case answer.Missing:
			missing = append(missing, i)
		case answer.Err == nil:
		case byError[answer.Err.Error()] != nil:
			byError[answer.Err.Error()].others++
		default:
			u := &unasked{first: i, image: answer.To, err: answer.Err}
			byError[answer.Err.Error()] = u
			failed = append(failed, u)
		}
	}
	return missing, failed, ctx.Err()
}
