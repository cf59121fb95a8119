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

// settler waits until create has nothing more to do to the Secret. Both Jobs may have
// been started at once: were the CA handed over that create is about to replace, the
// API server would not trust the certificate that comes with the new one.
type settler struct {
	limit    time.Duration
	interval time.Duration // between two looks
	progress io.Writer
}

func newSettler(progress io.Writer) settler {
	return settler{limit: 30 * time.Second, interval: time.Second, progress: progress}
}

// settle returns when the Secret is sound, or when the limit is over: then nobody
// repairs it, and what there is must do.
func (s settler) settle(ctx context.Context, secrets coreclient.SecretsGetter, namespace, name string) error {
	said := ""
	err := wait.PollUntilContextTimeout(ctx, s.interval, s.limit, true, func(ctx context.Context) (bool, error) {
		secret, err := secrets.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			err = assess(secret.Data, nil, time.Now())
		}
		if err != nil && err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			fmt.Fprintf(s.progress, "Secret %s/%s: %s: waiting up to %s for certgen create, which may be at it\n", namespace, name, said, s.limit)
		}
		return err == nil, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil
	}
	return err
}
