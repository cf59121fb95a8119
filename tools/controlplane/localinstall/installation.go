// Package installation installs the webhook of the working tree on an API server
// that has no nodes.
//
// The numbered manifests are applied as they are. What a cluster's controllers and
// kubelets would do then is done here: a Job's containers are carried out by
// certgen's own code, under the Job's service account; the Deployment's container is
// a process on this machine, with the Deployment's own arguments, and with its Secret
// as files; the Service leads to it.
package localinstall

import (
	"context"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/apiserver"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// Options say what to install where.
type Options struct {
	Server  *apiserver.Server
	Program string // the webhook, as Build makes it
	// Manifests are those of deploy/; nil: as they were when this program was built.
	Manifests []deploy.File
	Args      []string  // of the webhook, after the Deployment's
	Log       io.Writer // what the Jobs and the webhook say
}

// Installation is an installed webhook. It ends with Stop; the objects stay.
type Installation struct {
	Options
	client  kubernetes.Interface
	applier *applier

	args      []string // of the webhook, as the Deployment has them
	addresses []string // of the Service
	process   *Process
}

// Install applies the manifests and returns when the API server asks the webhook.
func Install(ctx context.Context, o Options, report *progress.Reporter) (*Installation, error) {
	client, err := kubernetes.NewForConfig(o.Server.Config)
	if err != nil {
		return nil, err
	}
	applier, err := newApplier(o.Server.Config)
	if err != nil {
		return nil, err
	}
	i := &Installation{Options: o, client: client, applier: applier}
	err = report.Step("install the webhook by deploy/", func(step *progress.Step) error { return i.install(ctx, step) })
	if err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

func (i *Installation) install(ctx context.Context, step *progress.Step) error {
	if i.Manifests == nil {
		i.Manifests = deploy.Files()
	}
	for _, file := range i.Manifests {
		step.SetDetail(file.Name)
		if err := i.installOne(ctx, file); err != nil {
			return fmt.Errorf("deploy/%s: %w", file.Name, err)
		}
	}
	return probe.WaitServing(ctx, i.Server.Config, step)
}

func (i *Installation) installOne(ctx context.Context, file deploy.File) error {
	objects, err := i.applier.apply(ctx, file.Content)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := i.bringAbout(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// bringAbout does what a cluster does about an object.
func (i *Installation) bringAbout(ctx context.Context, object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "Job":
		return with(object, func(job *batchv1.Job) error { return i.carryOut(ctx, job) })
	case "Deployment":
		return with(object, func(d *appsv1.Deployment) error { return i.run(ctx, d) })
	case "Service":
		return with(object, i.route)
	}
	return nil
}

// with calls do with the object as its own type.
func with[T any](object *unstructured.Unstructured, do func(*T) error) error {
	typed := new(T)
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed)
	if err == nil {
		err = do(typed)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Restart runs the program anew, which may have been built anew: the Service leads
// to the new process as soon as that serves, and then the old one is killed.
func (i *Installation) Restart(ctx context.Context) error {
	old := i.process
	if err := i.start(ctx); err != nil {
		return err
	}
	old.kill() // or the API server would go on asking it, over its open connections
	return nil
}

// Stop ends the webhook's process.
func (i *Installation) Stop() error {
	if i.process == nil {
		return nil
	}
	return i.process.Stop()
}
