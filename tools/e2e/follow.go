package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/e2e/summary"
)

// lookout is how often there is looked for servers that are not followed yet.
const lookout = time.Second

// follow keeps the logs of the webhook's servers until the context ends, in a file for
// each: what a spec was answered is found there also when a later one has replaced the
// server. It is best effort.
func (r *run) follow(ctx context.Context, client kubernetes.Interface) error {
	folder := r.artifacts(summary.ServerLogs)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	followed := map[string]bool{}
	var streams sync.WaitGroup
	defer streams.Wait()
	return wait.PollUntilContextCancel(ctx, lookout, true, func(ctx context.Context) (bool, error) {
		for _, name := range runningServers(ctx, client) {
			if !followed[name] {
				followed[name] = true
				streams.Go(func() { keepLog(ctx, client, name, filepath.Join(folder, name+".log")) })
			}
		}
		return false, nil
	})
}

func runningServers(ctx context.Context, client kubernetes.Interface) (names []string) {
	pods, err := client.CoreV1().Pods("image-webhook").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		return nil
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodRunning {
			names = append(names, pod.Name)
		}
	}
	return names
}

func keepLog(ctx context.Context, client kubernetes.Interface, pod, path string) {
	out, err := os.Create(path)
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
