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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// Build compiles the webhook of the checkout in root to the file output.
func Build(ctx context.Context, root, output string, report *progress.Reporter) error {
	return report.Step("build image-webhook", func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: root}, step, gobuild.Program{Package: "./webhook/cmd/image-webhook", Output: output})
	})
}

// servingLimit is how long the webhook may take to start.
const servingLimit = 30 * time.Second

// runDeployment runs the container of a Deployment as a process.
func (i *Installation) runDeployment(ctx context.Context, d *appsv1.Deployment) error {
	pod := d.Spec.Template.Spec
	i.args = pod.Containers[0].Args
	for _, volume := range pod.Volumes {
		dir, err := i.mountSecret(ctx, d.Namespace, volume)
		if err != nil {
			return err
		}
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.Name == volume.Name {
				i.args = relocate(i.args, mount.MountPath, dir)
			}
		}
	}
	return i.startProcess(ctx)
}

// relocate replaces the directory in flags that name a file below it.
func relocate(args []string, oldDir, newDir string) (relocated []string) {
	for _, arg := range args {
		relocated = append(relocated, strings.Replace(arg, "="+oldDir+"/", "="+newDir+"/", 1))
	}
	return relocated
}

// mountSecret writes the files of a Secret volume to a directory, like a kubelet.
func (i *Installation) mountSecret(ctx context.Context, namespace string, volume corev1.Volume) (dir string, err error) {
	if volume.Secret == nil {
		return "", fmt.Errorf("mount volume %q: it is not a Secret: only Secrets are supported", volume.Name)
	}
	secret, err := i.client.CoreV1().Secrets(namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	dir = filepath.Join(i.Server.Dir, "volumes", volume.Name)
	err = os.MkdirAll(dir, 0o700)
	for _, item := range volume.Secret.Items {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, item.Path), secret.Data[item.Key], 0o600))
	}
	return dir, err
}

// startProcess starts the webhook on a free port of the loopback interface, and connects the
// Service to it.
func (i *Installation) startProcess(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, servingLimit, fmt.Errorf("%s did not start to serve within %s", filepath.Base(i.Program), servingLimit))
	defer stop()
	args := slices.Concat(i.args, []string{"--server-addr=127.0.0.1:0"}, i.Args) // the last --server-addr counts
	started, err := StartProcess(ctx, i.Program, args, i.Log)
	if err != nil {
		return err
	}
	i.process = started
	for _, address := range i.addresses {
		i.Server.Services.Route(address, started.addr)
	}
	return nil
}

// routeService connects the name and the cluster IP of a Service to the process.
func (i *Installation) routeService(service *corev1.Service) error {
	if i.process == nil {
		return errors.New("no Deployment was applied before the Service")
	}
	for _, port := range service.Spec.Ports {
		for _, host := range []string{service.Spec.ClusterIP, service.Name + "." + service.Namespace + ".svc"} {
			address := net.JoinHostPort(host, strconv.Itoa(int(port.Port)))
			i.addresses = append(i.addresses, address)
			i.Server.Services.Route(address, i.process.addr)
		}
	}
	return nil
}
