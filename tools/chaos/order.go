package chaos

import (
	"context"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// runPatchBeforeCertgen runs 06, which changes nothing, begins a rollout, and runs 03, which creates
// another certificate. When all replicas serve it, another rollout closes the connections that the
// API server opened before. 06 does not run again.
func (r *run) runPatchBeforeCertgen(ctx context.Context, step *progress.Step) error {
	if err := r.runJobs(ctx, step, patchManifest); err != nil {
		return err
	}
	if err := r.rollOut(ctx, step); err != nil {
		return err
	}
	if err := r.createCertificate(ctx, step); err != nil {
		return err
	}
	if err := r.waitServed(ctx, step); err != nil {
		return err
	}
	return r.rollOut(ctx, step)
}

// rollOutBeforePatch begins a rollout when 03 has created another certificate, and runs 06 after it.
func (r *run) rollOutBeforePatch(ctx context.Context, step *progress.Step) error {
	if err := r.createCertificate(ctx, step); err != nil {
		return err
	}
	if err := r.rollOut(ctx, step); err != nil {
		return err
	}
	return r.runJobs(ctx, step, patchManifest)
}

// createCertificate deletes the Secret and runs 03, which creates another certificate.
func (r *run) createCertificate(ctx context.Context, step *progress.Step) error {
	if err := r.removeSecret(ctx); err != nil {
		return err
	}
	return r.runJobs(ctx, step, certgenManifest)
}
