package certgen

import (
	"context"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// secretWaiter waits until the Secret is valid, because both Jobs may start at the
// same time. If patch published a CA that create is about to replace, the API server
// would not trust the new certificate.
type secretWaiter struct {
	timeout  time.Duration
	interval time.Duration // between two attempts
	progress io.Writer
}

func newSecretWaiter(progress io.Writer) secretWaiter {
	return secretWaiter{timeout: 30 * time.Second, interval: time.Second, progress: progress}
}

// waitUntilValid returns when the Secret is valid. It also returns nil after the
// timeout: create is probably not running, and patch uses the present Secret.
func (s secretWaiter) waitUntilValid(ctx context.Context, secrets coreclient.SecretsGetter, namespace, name string) error {
	reported := ""
	err := wait.PollUntilContextTimeout(ctx, s.interval, s.timeout, true, func(ctx context.Context) (bool, error) {
		secret, err := secrets.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			err = validate(secret.Data, nil, time.Now())
		}
		if err != nil && err.Error() != reported && ctx.Err() == nil {
			reported = err.Error()
			fmt.Fprintf(s.progress, "Secret %s/%s: %s: waiting up to %s for certgen create to fix it\n", namespace, name, reported, s.timeout)
		}
		return err == nil, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil
	}
	return err
}
