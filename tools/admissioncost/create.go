package admissioncost

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// create creates a pod of an arm as a dry run.
func (c *cluster) create(ctx context.Context, a *arm) error {
	_, err := c.send(ctx, a.namespace, a.nextBody())
	return err
}

// send creates a pod, in JSON, as a dry run and returns the answer, in JSON.
func (c *cluster) send(ctx context.Context, namespace string, body []byte) ([]byte, error) {
	result := c.client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").
		Param("dryRun", metav1.DryRunAll).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx)
	if err := result.Error(); err != nil { // unlike the error of Raw, it has the message of the answer
		return nil, err
	}
	return result.Raw()
}

// timeCreate creates a pod of an arm and returns how long it took.
func (c *cluster) timeCreate(ctx context.Context, a *arm) (time.Duration, error) {
	body := a.nextBody()
	started := time.Now()
	_, err := c.send(ctx, a.namespace, body)
	if err != nil {
		return 0, fmt.Errorf("create a pod in the arm %q: %w", a.name, err)
	}
	return time.Since(started), nil
}
