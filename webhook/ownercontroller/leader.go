package ownercontroller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The durations of kube-controller-manager. A replica measures them with its own clock from
// the moment at which it sees a renewal, so clocks may differ.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// lead takes part in the election until ctx ends. A leader that is cut off may work a moment
// longer than it should, which does no harm: see the comment of the package.
func (c *Controller) lead(ctx context.Context) error {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: ownNamespace, Name: objectName},
				Client:     c.clients.lease,
				LockConfig: resourcelock.ResourceLockConfig{Identity: c.Identity},
			},
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: true, // so that another replica leads at once
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: c.startLeading,
				OnStoppedLeading: func() { c.Log.Info("not leading") },
			},
		})
		if err != nil {
			return fmt.Errorf("elect a leader: %w", err)
		}
		elector.Run(ctx)
	}
	return nil
}

// waitForCaches waits until the caches are filled. It returns false if ctx ends first.
func (c *Controller) waitForCaches(ctx context.Context) bool {
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) {
		return c.informers.haveSynced(), nil
	})
	return err == nil
}
