package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/gobuild"
	"github.com/image-webhook/image-webhook/tools/ociimage"
	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/workspace"
)

const (
	// floodTime is how long the pods flood the webhook.
	floodTime = time.Minute

	// floodLimit is how long a pod may take to start and to end, in addition to floodTime.
	floodLimit = 3 * time.Minute

	floodImage = "image-webhook.dev/flood:dev"
)

// floods are the pods: one opens many more connections than the webhook accepts, the other sends more
// reviews than its CPUs can answer.
var floods = []struct {
	pod  string
	args []string
}{
	{"flood-connections", []string{"--idle=6000", "--handshakes=1000", "--headers=500", "--bodies=2000"}},
	{"flood-reviews", []string{"--reviews=64", "--large=4", "--invalid=16"}},
}

// flood runs pods that send the webhook more than it can want, and checks that no replica restarts
// or needs most of its memory.
func (r *run) flood(ctx context.Context, step *progress.Step) (err error) {
	if err := r.loadFlood(ctx, step); err != nil {
		return fmt.Errorf("build the image %s: %w", floodImage, err)
	}
	servers, err := r.Servers(ctx)
	if err != nil {
		return err
	}
	for _, server := range servers {
		if err := r.ResetPeakMemory(ctx, server); err != nil {
			return err
		}
	}
	if err := r.runFlood(ctx, step); err != nil {
		return err
	}
	return r.checkSurvived(ctx, servers)
}

// loadFlood builds the image of the pods and loads it into the nodes.
func (r *run) loadFlood(ctx context.Context, step *progress.Step) error {
	root, err := workspace.Root(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "image-webhook-flood-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := gobuild.Program{Package: "./tools/images/flood", Output: filepath.Join(dir, "flood")}
	if err := gobuild.Build(ctx, gobuild.Module{Dir: root}, step, program); err != nil {
		return err
	}
	image, err := ociimage.Image{
		Files:      []ociimage.File{{Path: "/flood", Source: program.Output}},
		Entrypoint: "/flood",
	}.Build(filepath.Join(dir, "layer.tar"))
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "flood.tar")
	if err := ociimage.WriteArchive(archive, ociimage.Tagged{Image: image, Refs: []string{floodImage}}); err != nil {
		return err
	}
	return r.WithReporter(progress.New(step)).LoadArchive(ctx, archive)
}

// runFlood runs the pods until they end, and notes what they have done.
func (r *run) runFlood(ctx context.Context, step *progress.Step) (err error) {
	namespace := r.clients[0].namespace
	pods := r.client.CoreV1().Pods(namespace)
	for _, f := range floods {
		if _, err := pods.Create(ctx, newFloodPod(f.pod, f.args), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create pod %s: %w", f.pod, err)
		}
		defer func() {
			failed := pods.Delete(context.WithoutCancel(ctx), f.pod, *metav1.NewDeleteOptions(0))
			if !apierrors.IsNotFound(failed) {
				err = errors.Join(err, failed)
			}
		}()
	}
	for _, f := range floods {
		if err := r.waitFlood(ctx, step, namespace, f.pod); err != nil {
			return err
		}
		log, err := pods.GetLogs(f.pod, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("read the log of pod %s: %w", f.pod, err)
		}
		for line := range strings.Lines(string(log)) {
			r.notes = append(r.notes, f.pod+", "+strings.TrimSpace(line))
		}
	}
	return nil
}

func newFloodPod(name string, args []string) *corev1.Pod {
	args = append([]string{"--address=webhook." + webhookNamespace + ".svc:443", "--for=" + floodTime.String()}, args...)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{Name: "flood", Image: floodImage, ImagePullPolicy: corev1.PullNever, Args: args}},
		},
	}
}

// waitFlood waits until a pod has ended.
func (r *run) waitFlood(ctx context.Context, step *progress.Step, namespace, name string) error {
	return waitUntil(ctx, floodTime+floodLimit, step, func(ctx context.Context) error {
		pod, err := r.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case pod.Status.Phase == corev1.PodFailed:
			return permanentError{fmt.Errorf("pod %s failed: %s", name, pod.Status.Message)}
		case pod.Status.Phase != corev1.PodSucceeded:
			return fmt.Errorf("waiting until pod %s has ended", name)
		}
		return nil
	})
}

// checkSurvived returns an error if a replica has restarted or was replaced, or if it has needed
// more memory than the webhook tells Go to use (GOMEMLIMIT in deploy/04-webhook.yaml).
func (r *run) checkSurvived(ctx context.Context, before []corev1.Pod) (err error) {
	after, listed := r.Servers(ctx)
	if listed != nil {
		return listed
	}
	for _, old := range before {
		if failed := notRestarted(old, after); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		peak, failed := r.PeakMemory(ctx, old)
		if failed == nil && peak > memoryLimit {
			failed = fmt.Errorf("pod %s needed %d MiB of memory, want at most %d", old.Name, peak>>20, memoryLimit>>20)
		}
		err = errors.Join(err, failed)
		r.notes = append(r.notes, fmt.Sprintf("pod %s: no restart, at most %d MiB of memory", old.Name, peak>>20))
	}
	return err
}

const memoryLimit = 200 << 20
