package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
	"github.com/image-webhook/image-webhook/tools/webhookimage"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

// upgrade rolls out the image of the previous version of the product, and then the present one.
func (r *run) upgrade(ctx context.Context, step *progress.Step) error {
	deployment, err := r.deployment(ctx)
	if err != nil {
		return err
	}
	present := deployment.Spec.Template.Spec.Containers[0].Image
	previous, err := r.loadPrevious(ctx, step)
	if err != nil {
		return fmt.Errorf("build the previous version: %w", err)
	}
	for _, image := range []string{previous, present} {
		step.SetDetail("roll out " + image)
		if err := r.setImage(ctx, step, image); err != nil {
			return errors.Join(err, r.setImage(context.WithoutCancel(ctx), step, present))
		}
	}
	return nil
}

func (r *run) setImage(ctx context.Context, step *progress.Step, image string) error {
	if err := r.Kubectl("set", "image", "deployment/"+webhookDeployment, "webhook="+image, "-n", webhookNamespace).Run(ctx); err != nil {
		return err
	}
	return r.waitRolledOut(ctx, step)
}

// loadPrevious builds the image of the commit before the last one that changed the product, loads
// it, and returns its reference.
func (r *run) loadPrevious(ctx context.Context, step *progress.Step) (ref string, err error) {
	root, err := workspace.Root(ctx)
	if err != nil {
		return "", err
	}
	git := func(args ...string) (string, error) {
		return subprocess.Command{Args: append([]string{"git", "-C", root}, args...)}.Output(ctx)
	}
	changed, err := git("log", "-1", "--format=%H", "--", "webhook", "go.mod")
	if err != nil {
		return "", err
	}
	commit, err := git("rev-parse", "--verify", changed+"^")
	if err != nil {
		return "", fmt.Errorf("%w: fetch the history of the repository with `git fetch --unshallow`", err)
	}
	dir, err := os.MkdirTemp("", "image-webhook-previous-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	step.SetDetail("build the image of commit " + commit[:12])
	checkout := filepath.Join(dir, "checkout")
	if _, err := git("worktree", "add", "--detach", checkout, commit); err != nil {
		return "", err
	}
	defer func() { _, _ = git("worktree", "remove", "--force", checkout) }()
	image, err := webhookimage.Build(ctx, webhookimage.Options{Root: checkout, Output: filepath.Join(dir, "previous.tar")}, progress.New(step))
	if err != nil {
		return "", err
	}
	r.notes = append(r.notes, fmt.Sprintf("the previous version is commit %s, image %s", commit[:12], strings.TrimPrefix(image.ContentRef, "image-webhook.dev/")))
	return image.ContentRef, r.WithReporter(progress.New(step)).LoadArchive(ctx, image.Path)
}
