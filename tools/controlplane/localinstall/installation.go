// Package localinstall installs the webhook of the checkout on an API server without nodes. It
// applies the unchanged numbered manifests. It does not know the names of their objects.
//
// It replaces the controllers and kubelets of a cluster. It runs the containers of a Job with
// the code of certgen, as the Job's service account. It runs the container of the Deployment as
// a process on this machine, with the Deployment's arguments and with its Secret as files. It
// connects the Service to that process.
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

// Options configure an installation.
type Options struct {
	Server  *apiserver.Server
	Program string // path of the webhook program, which Build writes
	// Manifests are the numbered manifests; nil: those compiled into this program.
	Manifests []deploy.File
	Args      []string  // arguments of the webhook, after those of the Deployment
	Log       io.Writer // gets the output of the Jobs and the webhook
}

// Installation is an installed webhook. Stop ends it, and keeps the objects.
type Installation struct {
	Options
	client  kubernetes.Interface
	applier *applier

	args      []string // arguments in the Deployment
	addresses []string // addresses of the Service
	process   *Process
}

// Install applies the manifests and returns when the API server calls the webhook.
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
	err = report.Step("install the webhook with the manifests of deploy/", func(step *progress.Step) error { return i.install(ctx, step) })
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
		if err := i.installFile(ctx, file); err != nil {
			return fmt.Errorf("deploy/%s: %w", file.Name, err)
		}
	}
	return probe.WaitServing(ctx, i.Server.Config, step)
}

func (i *Installation) installFile(ctx context.Context, file deploy.File) error {
	objects, err := i.applier.apply(ctx, file.Content)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := i.applyEffect(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// applyEffect does what a cluster does for an object.
func (i *Installation) applyEffect(ctx context.Context, object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "Job":
		return withTyped(object, func(job *batchv1.Job) error { return i.runJob(ctx, job) })
	case "Deployment":
		return withTyped(object, func(d *appsv1.Deployment) error { return i.runDeployment(ctx, d) })
	case "Service":
		return withTyped(object, i.routeService)
	}
	return nil
}

// withTyped calls handle with the object converted to its type.
func withTyped[T any](object *unstructured.Unstructured, handle func(*T) error) error {
	typed := new(T)
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed)
	if err == nil {
		err = handle(typed)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// Restart starts the program again, which may have been rebuilt. When the new process serves,
// Restart connects the Service to it and kills the old process.
func (i *Installation) Restart(ctx context.Context) error {
	old := i.process
	if err := i.startProcess(ctx); err != nil {
		return err
	}
	old.kill() // otherwise the API server keeps calling it over open connections
	return nil
}

// Stop ends the webhook's process.
func (i *Installation) Stop() error {
	if i.process == nil {
		return nil
	}
	return i.process.Stop()
}
