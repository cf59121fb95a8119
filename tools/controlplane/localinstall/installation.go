// Package localinstall installs the webhook of the checkout on an API server without nodes. It
// applies the unchanged numbered manifests. It does not know the names of their objects.
//
// It replaces the controllers and kubelets of a cluster. It runs the containers of a Job with
// the code of certgen, as the Job's service account. It runs the container of a Deployment as one
// process on this machine, with the Deployment's arguments, and with its Secrets and ConfigMaps
// as files. Instead of a token, the process gets a kubeconfig that impersonates the service
// account. A Service is connected to the process of the Deployment that it selects.
package localinstall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	Server   *apiserver.Server
	Programs string // directory of the programs, which Build writes
	// Manifests are the numbered manifests; nil: those compiled into this program.
	Manifests []deploy.File
	// Hybrid installs the hybrid form. Without Manifests, these are those of the hybrid form.
	Hybrid bool
	// Policy are the policy objects of the hybrid form, in YAML; empty: those of deploy/hybrid.
	Policy string
	// NamespaceOwner are the manifests of deploy/namespace-owner; nil: they are not installed.
	NamespaceOwner []deploy.File
	// Args are arguments by program name, such as image-webhook. They follow those of the
	// Deployment.
	Args map[string][]string
	Log  io.Writer // gets the output of the Jobs and the programs
}

// Installation is an installed webhook. Stop ends its processes, and keeps the objects.
type Installation struct {
	Options
	client      kubernetes.Interface
	applier     *applier
	deployments []*deployment // in the order of their start
}

// Install applies the manifests and returns when all processes are ready, the API server calls the
// webhook and, with NamespaceOwner, checks the owners of new namespaces.
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
		i.Manifests = i.formManifests()
	}
	if err := i.installFiles(ctx, "deploy", i.Manifests, step); err != nil {
		return err
	}
	if err := i.installFiles(ctx, "deploy/"+deploy.NamespaceOwner, i.NamespaceOwner, step); err != nil {
		return err
	}
	if err := i.finishForm(ctx, step); err != nil {
		return err
	}
	if err := probe.WaitServing(ctx, i.Server.Config, step); err != nil || i.NamespaceOwner == nil {
		return err
	}
	return i.waitNamespacesChecked(ctx, step)
}

// waitNamespacesChecked waits until the API server checks the owners of new namespaces. The probe
// needs a user with all rights who is not in system:masters. This user exists only meanwhile.
func (i *Installation) waitNamespacesChecked(ctx context.Context, step *progress.Step) (err error) {
	const user = "localinstall-probe"
	bindings := i.client.RbacV1().ClusterRoleBindings()
	_, err = bindings.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, bindings.Delete(context.WithoutCancel(ctx), user, metav1.DeleteOptions{}))
	}()
	return probe.WaitNamespacesChecked(ctx, i.Server.As(user), step)
}

// installFiles installs the manifests of a directory.
func (i *Installation) installFiles(ctx context.Context, dir string, files []deploy.File, step *progress.Step) error {
	for _, file := range files {
		path := dir + "/" + file.Name
		step.SetDetail(path)
		if err := i.installFile(ctx, file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
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

// Restart starts the programs again, which may have been rebuilt. When all new processes are
// ready, they replace the old ones. After an error, the old processes go on.
func (i *Installation) Restart(ctx context.Context) error {
	var started []*Process
	for _, d := range i.deployments {
		process, err := i.start(ctx, d)
		if err != nil {
			return errors.Join(err, stopAll(started))
		}
		started = append(started, process)
	}
	for n, d := range i.deployments {
		i.replace(d, started[n])
	}
	return nil
}

// replace connects the Services of a Deployment to a new process, and ends the old one.
func (i *Installation) replace(d *deployment, process *Process) {
	old := d.process
	d.process = process
	i.route(d)
	if len(d.addresses) > 0 {
		old.kill() // otherwise the API server keeps calling it over open connections
		return
	}
	_ = old.Stop() // a controller releases its Lease; the result no longer matters
}

// Stop ends all processes of the installation.
func (i *Installation) Stop() error {
	var running []*Process
	for _, d := range i.deployments {
		running = append(running, d.process)
	}
	return stopAll(running)
}

// stopAll stops processes in the reverse order of their start.
func stopAll(processes []*Process) (err error) {
	for _, process := range slices.Backward(processes) {
		err = errors.Join(err, process.Stop())
	}
	return err
}

// Process returns the process of a Deployment.
func (i *Installation) Process(name string) (*Process, error) {
	d, err := i.find(name)
	if err != nil {
		return nil, err
	}
	return d.process, nil
}

// StartReplica starts another process of a Deployment. The caller must stop it. Services do not
// use it, and Restart does not replace it.
func (i *Installation) StartReplica(ctx context.Context, name string) (*Process, error) {
	d, err := i.find(name)
	if err != nil {
		return nil, err
	}
	return i.start(ctx, d)
}

func (i *Installation) find(name string) (*deployment, error) {
	for _, d := range i.deployments {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("no Deployment %q is installed", name)
}
