package status

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Names of the installation's objects.
const (
	workload   = "webhook" // the Deployment and the Service
	secretName = "webhook-tls"
	renew      = "renew" // the CronJob
)

// Read is a part of the installation, or the error of reading it.
type Read[T any] struct {
	Value T
	Err   error
}

// missing reports whether the API server says that the object does not exist.
func (r Read[T]) missing() bool { return apierrors.IsNotFound(r.Err) }

// Snapshot is what the checks need to know about an installation at one time.
type Snapshot struct {
	Time      time.Time
	Namespace string // of the webhook
	Server    string // the URL of the API server
	Version   Read[string]

	Own        Read[*corev1.Namespace]
	Deployment Read[*appsv1.Deployment]
	Policy     Read[*corev1.ConfigMap] // with the policy file of the Deployment; nil: there is none
	Replicas   Read[[]corev1.Pod]      // without those that are terminating
	Service    Read[*corev1.Service]
	Slices     Read[[]discoveryv1.EndpointSlice] // of the Service
	Secret     Read[*corev1.Secret]
	CronJob    Read[*batchv1.CronJob]

	// Served has the certificate chain of each replica that is ready, by the pod's name.
	Served map[string]Read[[]*x509.Certificate]
	// Loaded has the version of the policy file that each replica that is ready uses, by the pod's
	// name; "": the replica uses none.
	Loaded map[string]Read[string]

	// Configurations has all webhook configurations of the cluster that call the Service, or
	// have a name of the installation.
	Configurations Read[[]configuration]
	DenyPolicy     Read[denyPolicy]
	Services       Read[[]corev1.Service]   // of all namespaces
	Namespaces     Read[[]corev1.Namespace] // all
	Roles          Read[[]rbacv1.ClusterRole]
	Bindings       Read[[]rbacv1.ClusterRoleBinding]
}

// describe returns an error as the end of a message on one line.
func describe(err error) string {
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err // without the URL
	}
	var failed net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failed) && failed.Timeout() {
		return "no answer in time: check the connection, or use a longer --timeout"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
