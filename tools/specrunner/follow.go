package specrunner

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/devcluster"
	"github.com/image-webhook/image-webhook/tools/specrunner/summary"
)

// listInterval is the time between two lists of the webhook's servers.
const listInterval = time.Second

// followLogs writes the log of each webhook server to a file until stop is called, because specs
// replace servers. It is best effort.
func (r *run) followLogs(ctx context.Context, c *devcluster.Cluster) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	followed := map[string]bool{}
	streams.Go(func() {
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			for _, name := range runningServers(ctx, c) {
				if !followed[name] {
					followed[name] = true
					streams.Go(func() { r.writeLog(ctx, c, name) })
				}
			}
		}, listInterval)
	})
	return func() {
		cancel()
		streams.Wait()
	}
}

func runningServers(ctx context.Context, c *devcluster.Cluster) (names []string) {
	pods, err := c.Servers(ctx)
	if err != nil {
		return nil
	}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning {
			names = append(names, pod.Name)
		}
	}
	return names
}

func (r *run) writeLog(ctx context.Context, c *devcluster.Cluster, pod string) {
	client, err := c.Client()
	if err != nil {
		return
	}
	dir := r.artifacts(summary.ServerLogs)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return
	}
	out, err := os.Create(filepath.Join(dir, pod+".log"))
	if err != nil {
		return
	}
	defer out.Close()
	log, err := client.CoreV1().Pods("image-webhook").GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return
	}
	defer log.Close()
	_, _ = io.Copy(out, log)
}
