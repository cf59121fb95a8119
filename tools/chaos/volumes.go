package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// hurryInterval is the time between two changes of the annotation: a kubelet may not know a new Secret yet when it
// gets one.
const hurryInterval = 5 * time.Second

// hurryKubelets lets the kubelets update the volumes of the replicas within seconds until stop is called, if the
// run is short. A kubelet updates them when an annotation of the pod changes, and otherwise within 90 seconds.
func (r *run) hurryKubelets(ctx context.Context) (stop func()) {
	if !r.hurry {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var hurrying sync.WaitGroup
	hurrying.Go(func() { wait.UntilWithContext(ctx, r.annotateReplicas, hurryInterval) })
	return func() {
		cancel()
		hurrying.Wait()
	}
}

// annotateReplicas changes an annotation of the replicas. It is best effort: a replica may be deleted meanwhile.
func (r *run) annotateReplicas(ctx context.Context) {
	replicas, err := r.Servers(ctx)
	if err != nil {
		return
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"image-webhook.dev/chaos":"%d"}}}`, time.Now().UnixNano())
	for _, replica := range replicas {
		_, _ = r.client.CoreV1().Pods(replica.Namespace).Patch(ctx, replica.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
}
