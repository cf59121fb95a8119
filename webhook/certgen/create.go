package certgen

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// create ensures that the Secret has a valid certificate, in an order in which the API servers
// always trust what the servers use:
//
//  1. Write a new certificate into the Secret as staged, where no server uses it. From now on,
//     every run continues with this certificate: a run that was killed, and a concurrent one.
//  2. Add its CA to the caBundle of every webhook.
//  3. Wait until all API servers use it.
//  4. Promote it: from now on, the servers use it.
//
// While no replica runs, the order does not matter, and 3 and 4 are skipped. create reports
// whether the certificate is a new one.
func (s session) create(ctx context.Context, c Create) (renewed bool, err error) {
	replicas, err := s.listReplicas(ctx, c.Hosts)
	if err != nil {
		return false, err
	}
	secret, replaced, err := s.ensureCertificate(ctx, c, len(replicas) > 0)
	if err != nil {
		return false, err
	}
	if _, err := s.publish(ctx, c.Hosts, publishedCAs(secret.Data, c.Hosts, s.now())); err != nil {
		return false, err
	}
	if !isStaged(secret.Data, c.Hosts, s.now()) {
		return replaced, nil
	}
	if err := s.settle(ctx, c.Hosts, parseValid(secret.Data[StagedPrefix+caKey]), c.Settle); err != nil {
		return false, err
	}
	return true, s.promote(ctx, c, secret)
}

func isStaged(data map[string][]byte, hosts []string, now time.Time) bool {
	return checkUsable(stagedData(data), hosts, now) == nil
}

func (c Create) object() string { return fmt.Sprintf("Secret %s/%s", c.Namespace, c.SecretName) }

// ensureCertificate returns the Secret with a valid certificate or a staged one, and reports
// whether it has replaced the certificate without staging. If another client writes the Secret at
// the same time, it starts again with the new version.
func (s session) ensureCertificate(ctx context.Context, c Create, running bool) (secret *corev1.Secret, replaced bool, err error) {
	var result string
	err = retry.OnError(conflictBackoff, isWriteConflict, func() error {
		found, err := s.core.Secrets(c.Namespace).Get(ctx, c.SecretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found, err = nil, nil
		}
		if err != nil {
			return err
		}
		var wanted *corev1.Secret
		if wanted, result, err = s.ensured(found, c, running); err != nil {
			return err
		}
		replaced = wanted != nil && !isStaged(wanted.Data, c.Hosts, s.now())
		secret, err = s.write(ctx, c, found, wanted)
		return err
	})
	if err != nil {
		return nil, false, explain(err, c.object(), namespaceManifest)
	}
	s.report("%s %s", c.object(), result)
	return secret, replaced, nil
}

func isWriteConflict(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

// ensured returns the Secret that found must become, or nil if it can stay, and describes the
// result. found is nil if the Secret does not exist.
func (s session) ensured(found *corev1.Secret, c Create, running bool) (wanted *corev1.Secret, result string, err error) {
	if found == nil {
		found = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: c.SecretName}, Type: corev1.SecretTypeOpaque}
	}
	requested := found.Annotations[RenewAnnotation] != ""
	problem := judge(found.Data, c.Hosts, s.now())
	switch {
	case !requested && judge(stagedData(found.Data), c.Hosts, s.now()) == nil:
		return nil, "has a staged certificate: " + describe(c.Hosts, stagedData(found.Data)), nil
	case !requested && problem == nil:
		return nil, "unchanged: " + describe(c.Hosts, found.Data), nil
	}
	fresh, err := issue(c.Hosts, c.Validity, s.now())
	if err != nil {
		return nil, "", err
	}
	wanted = found.DeepCopy()
	delete(wanted.Annotations, RenewAnnotation)
	prefix, verb := "", "created"
	switch {
	case running:
		prefix, verb = StagedPrefix, "staged"
	case found.ResourceVersion != "":
		verb = "repaired"
	}
	wanted.Data = withCertificate(found.Data, prefix, fresh.data())
	return wanted, verb + reason(found, requested, problem) + ": " + describe(c.Hosts, fresh.data()), nil
}

// reason returns why a certificate is replaced; for a new Secret it is empty.
func reason(found *corev1.Secret, requested bool, problem error) string {
	switch {
	case requested:
		return " (requested by the annotation " + RenewAnnotation + ")"
	case found.ResourceVersion == "":
		return ""
	}
	return fmt.Sprintf(" (%v)", problem)
}

// write creates or updates the Secret. The update fails if the Secret has changed since found
// was read.
func (s session) write(ctx context.Context, c Create, found, wanted *corev1.Secret) (*corev1.Secret, error) {
	client := s.core.Secrets(c.Namespace)
	switch {
	case wanted == nil:
		return found, nil
	case found == nil:
		return client.Create(ctx, wanted, metav1.CreateOptions{})
	}
	return client.Update(ctx, wanted, metav1.UpdateOptions{})
}

// promote makes the staged certificate the one that the servers use. It does nothing if a
// concurrent run has promoted it.
func (s session) promote(ctx context.Context, c Create, staged *corev1.Secret) error {
	client := s.core.Secrets(c.Namespace)
	err := retry.RetryOnConflict(conflictBackoff, func() error {
		found, err := client.Get(ctx, c.SecretName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		switch want := string(staged.Data[StagedPrefix+certKey]); want {
		case string(found.Data[certKey]):
			return nil
		case string(found.Data[StagedPrefix+certKey]):
			found.Data = promoted(found.Data)
			_, err = client.Update(ctx, found, metav1.UpdateOptions{})
			return err
		}
		return errReplaced
	})
	if err != nil {
		return explain(err, c.object(), secretManifest)
	}
	s.report("%s promoted the staged certificate", c.object())
	return nil
}

var errReplaced = errors.New("another client replaced the staged certificate: run the command again")

// describe describes a usable certificate.
func describe(hosts []string, data map[string][]byte) string {
	return fmt.Sprintf("certificate for %s, valid until %s", strings.Join(hosts, ", "), date(parseValid(data[certKey])[0].NotAfter))
}
