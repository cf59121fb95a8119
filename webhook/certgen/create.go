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

// create ensures that the Secret exists and is valid, and prints the result on one
// line. If another client writes the Secret at the same time, create reads and
// validates the new version.
func create(ctx context.Context, secrets coreclient.SecretsGetter, c Create, now func() time.Time, out io.Writer) error {
	client := secrets.Secrets(c.Namespace)
	object := fmt.Sprintf("Secret %s/%s", c.Namespace, c.SecretName)
	var result string
	err := retry.OnError(conflictBackoff, isWriteConflict, func() (err error) {
		found, err := client.Get(ctx, c.SecretName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			result, err = createSecret(ctx, client, c, now())
		case err == nil:
			result, err = repairSecret(ctx, client, found, c.Hosts, now())
		}
		return err
	})
	if err != nil {
		return explain(err, object, "deploy/01-namespace.yaml")
	}
	fmt.Fprintf(out, "%s %s\n", object, result)
	return nil
}

func isWriteConflict(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

func createSecret(ctx context.Context, client coreclient.SecretInterface, c Create, now time.Time) (result string, err error) {
	fresh, err := issue(c.Hosts, now)
	if err != nil {
		return "", err
	}
	_, err = client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: c.SecretName},
		Type:       corev1.SecretTypeOpaque,
		Data:       repairedData(nil, fresh, now),
	}, metav1.CreateOptions{})
	return "created: " + describe(c.Hosts, fresh.notAfter), err
}

// repairSecret replaces the certificate of an invalid Secret. It leaves a valid
// Secret unchanged.
func repairSecret(ctx context.Context, client coreclient.SecretInterface, found *corev1.Secret, hosts []string, now time.Time) (result string, err error) {
	problem := validate(found.Data, hosts, now)
	if problem == nil {
		return "unchanged: " + describe(hosts, parseValid(found.Data[certKey])[0].NotAfter), nil
	}
	fresh, err := issue(hosts, now)
	if err != nil {
		return "", err
	}
	repaired := found.DeepCopy()
	repaired.Data = repairedData(found.Data, fresh, now)
	_, err = client.Update(ctx, repaired, metav1.UpdateOptions{})
	return fmt.Sprintf("repaired (%v): %s", problem, describe(hosts, fresh.notAfter)), err
}

func describe(hosts []string, notAfter time.Time) string {
	return fmt.Sprintf("certificate for %s, valid until %s", strings.Join(hosts, ", "), date(notAfter))
}
