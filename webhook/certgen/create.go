package certgen

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
)

// create sees to it that the Secret is there and sound, and says in one line
// what it found and did. Whoever else writes the Secret meanwhile wins: it is
// then read and judged anew.
func create(ctx context.Context, secrets coreclient.SecretsGetter, c Create, now func() time.Time, out io.Writer) error {
	client := secrets.Secrets(c.Namespace)
	what := fmt.Sprintf("Secret %s/%s", c.Namespace, c.SecretName)
	var report string
	err := retry.OnError(patience, lostRace, func() (err error) {
		found, err := client.Get(ctx, c.SecretName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			report, err = makeSecret(ctx, client, c, now())
		case err == nil:
			report, err = keepSecret(ctx, client, found, c.Hosts, now())
		}
		return err
	})
	if err != nil {
		return explain(err, what, "deploy/01-namespace.yaml")
	}
	fmt.Fprintf(out, "%s %s\n", what, report)
	return nil
}

func lostRace(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

func makeSecret(ctx context.Context, client coreclient.SecretInterface, c Create, now time.Time) (string, error) {
	fresh, err := issue(c.Hosts, now)
	if err != nil {
		return "", err
	}
	_, err = client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: c.SecretName},
		Type:       corev1.SecretTypeOpaque,
		Data:       repaired(nil, fresh, now),
	}, metav1.CreateOptions{})
	return "was not there: created, " + describe(c.Hosts, fresh.notAfter), err
}

func keepSecret(ctx context.Context, client coreclient.SecretInterface, found *corev1.Secret, hosts []string, now time.Time) (string, error) {
	wrong := assess(found.Data, hosts, now)
	if wrong == nil {
		return "is sound: left as it is, " + describe(hosts, readable(found.Data[certKey])[0].NotAfter), nil
	}
	fresh, err := issue(hosts, now)
	if err != nil {
		return "", err
	}
	changed := found.DeepCopy()
	changed.Data = repaired(found.Data, fresh, now)
	_, err = client.Update(ctx, changed, metav1.UpdateOptions{})
	return fmt.Sprintf("is repaired (%v): %s", wrong, describe(hosts, fresh.notAfter)), err
}

func describe(hosts []string, notAfter time.Time) string {
	return fmt.Sprintf("for %s until %s", strings.Join(hosts, ", "), day(notAfter))
}
