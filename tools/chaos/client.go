package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// clientCount is the number of clients that create pods at the same time.
	clientCount = 8

	// answerLimit is how long the API server may take to answer: longer than all webhooks together.
	answerLimit = 30 * time.Second
)

// client creates pods in its own namespace, over its own connection.
type client struct {
	core      kubernetes.Interface
	namespace string
	store     int // percentage of the pods that are stored
}

// connectClient returns a client that shares no connection with other clients.
func connectClient(config *rest.Config, namespace string, store int) (*client, error) {
	own := rest.CopyConfig(config)
	own.Dial = (&net.Dialer{}).DialContext // client-go shares connections between clients without a Dial function
	core, err := kubernetes.NewForConfig(own)
	if err != nil {
		return nil, err
	}
	return &client{core, namespace, store}, nil
}

// request is one pod to create. The zero request must be mirrored.
type request struct {
	denied bool // whether the webhook must deny the pod
	stored bool // otherwise, the pod is created as a dry run
}

// request returns the nth request of the client. The requests alternate. The stored ones are spread
// evenly, in pairs.
func (c *client) request(n int) request {
	return request{denied: n%2 == 1, stored: n/2*c.store%100 < c.store}
}

// createPods creates pods at most at the given interval, until ctx ends or stopping is closed. The
// first pod is due after the delay.
func (c *client) createPods(ctx context.Context, stopping <-chan struct{}, delay, interval time.Duration, t *tally) {
	ticker := time.NewTicker(delay)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-stopping:
			return
		case <-ticker.C:
		}
		if n == 0 {
			ticker.Reset(interval)
		}
		c.createPod(ctx, c.request(n), t)
	}
}

// createPod creates a pod and records the result in the phase in which it was sent.
func (c *client) createPod(ctx context.Context, r request, t *tally) {
	phase, sent := t.current(), time.Now()
	pod, err := c.post(ctx, r)
	took := time.Since(sent)
	if ctx.Err() != nil { // interrupted
		return
	}
	t.record(phase, sent, took, classify(r, pod, err))
	if r.stored && err == nil {
		// If this fails, the pod is deleted together with its namespace.
		_ = c.core.CoreV1().Pods(c.namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
	}
}

// post sends a request once. client-go would send it again after some answers, which would hide a
// failure.
func (c *client) post(ctx context.Context, r request) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	post := c.core.CoreV1().RESTClient().Post().MaxRetries(0).Namespace(c.namespace).Resource("pods").
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(bodies[r.denied])
	if !r.stored {
		post = post.Param("dryRun", metav1.DryRunAll)
	}
	pod := &corev1.Pod{}
	return pod, post.Do(ctx).Into(pod)
}

// The images of the pods, and what deploy/04-webhook.yaml makes of the first one.
const (
	mirroredImage = "nginx:1.25"
	mirrorImage   = "docker.mirror.example/library/nginx:1.25"
	deniedImage   = "nginx:latest"
)

// bodies has the pods that must be denied, and those that must be mirrored, in JSON.
var bodies = map[bool][]byte{false: newPod(mirroredImage), true: newPod(deniedImage)}

// newPod returns a pod that is never scheduled. It meets the Pod Security Standard restricted, so
// that only the webhook can deny it.
func newPod(image string) []byte {
	body, err := json.Marshal(&corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "chaos-"},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: ownLabel}},
			Containers: []corev1.Container{{
				Name: "web", Image: image,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					RunAsNonRoot:             new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
			}},
		},
	})
	if err != nil {
		panic(fmt.Sprintf("encode a pod: %v", err)) // the types can always be encoded
	}
	return body
}
