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

// Build compiles the webhook of the working tree into the file output. root is the
// folder of this repository's module.
func Build(ctx context.Context, root, output string, report *progress.Reporter) error {
	return report.Step("build image-webhook", func(step *progress.Step) error {
		return gobuild.Build(ctx, gobuild.Module{Dir: root}, gobuild.Program{Package: "./webhook/cmd/image-webhook", Output: output}, step)
	})
}

// servingLimit is how long the webhook may take until it serves.
const servingLimit = 30 * time.Second

// run runs the container of a Deployment as a process.
func (i *Installation) run(ctx context.Context, d *appsv1.Deployment) error {
	pod := d.Spec.Template.Spec
	i.args = pod.Containers[0].Args
	for _, volume := range pod.Volumes {
		dir, err := i.mount(ctx, d.Namespace, volume)
		if err != nil {
			return err
		}
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.Name == volume.Name {
				i.args = moved(i.args, mount.MountPath, dir)
			}
		}
	}
	return i.start(ctx)
}

// moved returns args with paths below one folder as paths below another.
func moved(args []string, from, to string) (changed []string) {
	for _, arg := range args {
		changed = append(changed, strings.Replace(arg, "="+from+"/", "="+to+"/", 1))
	}
	return changed
}

// mount writes what a Secret's volume has into a folder, as a kubelet does.
func (i *Installation) mount(ctx context.Context, namespace string, volume corev1.Volume) (dir string, err error) {
	if volume.Secret == nil {
		return "", fmt.Errorf("volume %s is no Secret: only those are mounted here", volume.Name)
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

// start starts the webhook's process on a free port of the loopback interface, and
// leads its Service there.
func (i *Installation) start(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, servingLimit, fmt.Errorf("%s does not serve after %s", filepath.Base(i.Program), servingLimit))
	defer stop()
	args := slices.Concat(i.args, []string{"--server-addr=127.0.0.1:0"}, i.Args) // the last of an address counts
	started, err := StartProcess(ctx, i.Program, args, i.Log)
	if err != nil {
		return err
	}
	i.process = started
	for _, address := range i.addresses {
		i.Server.Services.Route(address, started.Addr)
	}
	return nil
}

// route leads a Service to the process, by its name and by its address.
func (i *Installation) route(service *corev1.Service) error {
	if i.process == nil {
		return errors.New("there is no Deployment yet for it to lead to")
	}
	for _, port := range service.Spec.Ports {
		for _, host := range []string{service.Spec.ClusterIP, service.Name + "." + service.Namespace + ".svc"} {
			address := net.JoinHostPort(host, strconv.Itoa(int(port.Port)))
			i.addresses = append(i.addresses, address)
			i.Server.Services.Route(address, i.process.Addr)
		}
	}
	return nil
}
