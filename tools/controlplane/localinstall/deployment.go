package localinstall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// programs are the programs of the product that Deployments run.
var programs = []string{"image-webhook", "namespace-owner"}

// Build compiles the programs of the checkout in root to the directory dir.
func Build(ctx context.Context, root, dir string, report *progress.Reporter) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var compiled []gobuild.Program
	for _, name := range programs {
		compiled = append(compiled, gobuild.Program{Package: "./webhook/cmd/" + name, Output: filepath.Join(dir, name)})
	}
	return report.Step("build "+strings.Join(programs, " and "), func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: root}, step, compiled...)
	})
}

// deployment is a Deployment whose container runs as a process.
type deployment struct {
	*appsv1.Deployment
	addresses []string // addresses of its Services
	process   *Process
}

func (d *deployment) pod() corev1.PodSpec { return d.Spec.Template.Spec }

func (d *deployment) container() corev1.Container { return d.pod().Containers[0] }

// environment returns the environment of this process with the variables of the container.
func (d *deployment) environment() []string {
	environment := os.Environ()
	for _, variable := range d.container().Env {
		environment = append(environment, variable.Name+"="+variable.Value)
	}
	return environment
}

// program returns the name of the container's program.
func (d *deployment) program() (string, error) {
	command := d.container().Command
	if len(command) == 0 {
		return "", fmt.Errorf("container %q has no command: name its program", d.container().Name)
	}
	return filepath.Base(command[0]), nil
}

// mountsToken reports whether the pod has the token of its service account.
func (d *deployment) mountsToken() bool {
	mounts := d.pod().AutomountServiceAccountToken
	return mounts == nil || *mounts
}

// servingLimit is how long a program may take to become ready.
const servingLimit = 30 * time.Second

// runDeployment runs the container of a Deployment as a process.
func (i *Installation) runDeployment(ctx context.Context, applied *appsv1.Deployment) (err error) {
	d := &deployment{Deployment: applied}
	if d.process, err = i.start(ctx, d); err == nil {
		i.deployments = append(i.deployments, d)
	}
	return err
}

// start starts a process of a Deployment, and returns when it is ready.
func (i *Installation) start(ctx context.Context, d *deployment) (*Process, error) {
	program, err := d.program()
	if err != nil {
		return nil, err
	}
	args, err := i.arguments(ctx, d, program)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, servingLimit, fmt.Errorf("%s is not ready after %s", program, servingLimit))
	defer stop()
	started, err := startProcess(ctx, filepath.Join(i.Programs, program), args, d.environment(), i.Log)
	if err != nil {
		return nil, err
	}
	if err := started.waitReady(ctx, d.container().ReadinessProbe); err != nil {
		return nil, errors.Join(err, started.Stop())
	}
	return started, nil
}

// arguments returns the arguments of a Deployment's process. The last flag with a name counts.
func (i *Installation) arguments(ctx context.Context, d *deployment, program string) ([]string, error) {
	args, err := i.mountVolumes(ctx, d)
	if err != nil {
		return nil, err
	}
	args = slices.Concat(args, loopbackFlags(args))
	if d.mountsToken() {
		kubeconfig, err := i.writeKubeconfig(d)
		if err != nil {
			return nil, fmt.Errorf("write the kubeconfig of %s: %w", program, err)
		}
		args = append(args, "--kubeconfig="+kubeconfig)
	}
	return append(args, i.Args[program]...), nil
}

// loopbackFlags returns the address flags in args, with a free port of the loopback interface.
func loopbackFlags(args []string) (flags []string) {
	for _, arg := range args {
		if name, _, ok := strings.Cut(arg, "="); ok && strings.HasSuffix(name, "-addr") {
			flags = append(flags, name+"=127.0.0.1:0")
		}
	}
	return flags
}

// writeKubeconfig writes a kubeconfig that impersonates the service account of a Deployment. It
// replaces the token that a kubelet mounts.
func (i *Installation) writeKubeconfig(d *deployment) (path string, err error) {
	content, err := i.Server.KubeconfigAs(serviceAccount(d.Namespace, d.pod()))
	if err != nil {
		return "", err
	}
	path = filepath.Join(i.Server.Dir, d.Name+".kubeconfig")
	return path, os.WriteFile(path, content, 0o600)
}

// serviceAccount returns the user name of a pod's service account.
func serviceAccount(namespace string, pod corev1.PodSpec) string {
	return fmt.Sprintf("system:serviceaccount:%s:%s", namespace, pod.ServiceAccountName)
}

// routeService connects the name and the cluster IP of a Service to the Deployment that it
// selects.
func (i *Installation) routeService(service *corev1.Service) error {
	selector := labels.SelectorFromSet(service.Spec.Selector)
	selected := slices.IndexFunc(i.deployments, func(d *deployment) bool { return selector.Matches(labels.Set(d.Spec.Template.Labels)) })
	if selected < 0 {
		return errors.New("no Deployment that it selects was applied before it")
	}
	d := i.deployments[selected]
	for _, port := range service.Spec.Ports {
		for _, host := range []string{service.Spec.ClusterIP, service.Name + "." + service.Namespace + ".svc"} {
			d.addresses = append(d.addresses, net.JoinHostPort(host, strconv.Itoa(int(port.Port))))
		}
	}
	i.route(d)
	return nil
}

// route connects the Services of a Deployment to its process.
func (i *Installation) route(d *deployment) {
	for _, address := range d.addresses {
		i.Server.Services.Route(address, d.process.Addr)
	}
}
