package certgen

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

var createTLS = Create{Hosts: hosts, Namespace: "ns", SecretName: "tls", Validity: defaultValidity}

func atNoon() time.Time { return noon }

func createAtNoon(t *testing.T, api fakeAPI, out io.Writer) error {
	t.Helper()
	s := api.session(t, out)
	s.now = atNoon
	_, err := s.create(t.Context(), createTLS)
	return err
}

func secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "tls", ResourceVersion: "7",
			Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

func readSecret(t *testing.T, api fakeAPI) *corev1.Secret {
	t.Helper()
	found, err := api.core.Secrets("ns").Get(context.Background(), "tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCreateCreatesTheSecret(t *testing.T) {
	api := newFakeAPI(t)
	var out strings.Builder
	if err := createAtNoon(t, api, &out); err != nil {
		t.Fatal(err)
	}
	created := readSecret(t, api)
	if created.Type != corev1.SecretTypeOpaque || len(created.Data) != 3 {
		t.Errorf("got type %s with %d keys, want Opaque with 3", created.Type, len(created.Data))
	}
	if err := judge(created.Data, hosts, noon); err != nil {
		t.Error(err)
	}
	want := "Secret ns/tls created: certificate for webhook, webhook.ns.svc, 10.0.0.1, valid until 2027-03-01\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCreateKeepsAValidSecret(t *testing.T) {
	found := secret(data(mustIssue(t, hosts, noon)))
	api := newFakeAPI(t, found)
	var out strings.Builder
	if err := createAtNoon(t, api, &out); err != nil {
		t.Fatal(err)
	}
	if api.countWrites() != 0 {
		t.Errorf("got writes: %v", api.Actions())
	}
	want := "Secret ns/tls unchanged: certificate for webhook, webhook.ns.svc, 10.0.0.1, valid until 2027-03-01\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRepairsOnlyTheThreeKeys(t *testing.T) {
	found := secret(data(mustIssue(t, []string{"webhook"}, noon)))
	found.Data["mine"] = []byte("kept")
	api := newFakeAPI(t, found)
	var out strings.Builder
	if err := createAtNoon(t, api, &out); err != nil {
		t.Fatal(err)
	}
	got := readSecret(t, api)
	if err := judge(got.Data, hosts, noon); err != nil {
		t.Error(err)
	}
	want := found.DeepCopy()
	maps.Copy(want.Data, map[string][]byte{"ca": got.Data["ca"], "cert": got.Data["cert"], "key": got.Data["key"]})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another part of the Secret changed (-want +got):\n%s", diff)
	}
	line := `Secret ns/tls repaired (the certificate is not valid for host "webhook.ns.svc"): certificate for webhook, webhook.ns.svc, 10.0.0.1, valid until 2027-03-01` + "\n"
	if diff := cmp.Diff(line, out.String()); diff != "" {
		t.Error(diff)
	}
}

var secrets = corev1.SchemeGroupVersion.WithResource("secrets")

func TestCreateKeepsASecretCreatedConcurrently(t *testing.T) {
	concurrent := data(mustIssue(t, hosts, noon))
	api := newFakeAPI(t)
	api.failFirst("create", "secrets", func() error {
		return errors.Join(api.objects.Create(secrets, secret(concurrent), "ns"), apierrors.NewAlreadyExists(secrets.GroupResource(), "tls"))
	})
	checkKeepsSecret(t, api, concurrent)
}

func TestCreateKeepsASecretRepairedConcurrently(t *testing.T) {
	concurrent := data(mustIssue(t, hosts, noon))
	api := newFakeAPI(t, secret(nil))
	api.failFirst("update", "secrets", func() error {
		return errors.Join(api.objects.Update(secrets, secret(concurrent), "ns"), apierrors.NewConflict(secrets.GroupResource(), "tls", nil))
	})
	checkKeepsSecret(t, api, concurrent)
}

func checkKeepsSecret(t *testing.T, api fakeAPI, concurrent map[string][]byte) {
	t.Helper()
	var out strings.Builder
	if err := createAtNoon(t, api, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(concurrent, readSecret(t, api).Data); diff != "" {
		t.Errorf("certgen overwrote the Secret (-want +got):\n%s", diff)
	}
	if !strings.Contains(out.String(), "unchanged") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got output %q, want one line with unchanged", out.String())
	}
}

func TestCreateUpdatesTheVersionThatItRead(t *testing.T) {
	api := newFakeAPI(t, secret(nil))
	if err := createAtNoon(t, api, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, a := range api.Actions() {
		if update, ok := a.(clienttesting.UpdateAction); ok {
			if version := update.GetObject().(*corev1.Secret).ResourceVersion; version != "7" {
				t.Errorf("got resource version %q, want 7", version)
			}
		}
	}
}

func TestCreateErrorsSayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no namespace": {
			apierrors.NewNotFound(corev1.Resource("namespaces"), "ns"),
			`Secret ns/tls: namespaces "ns" not found: apply deploy/01-namespace.yaml, which creates it`,
		},
		"no permission": {
			apierrors.NewForbidden(corev1.Resource("secrets"), "tls", errors.New("no")),
			`Secret ns/tls: secrets "tls" is forbidden: no: grant this permission as in deploy/02-rbac.yaml`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			api.failFirst("create", "secrets", func() error { return test.err })
			err := createAtNoon(t, api, io.Discard)
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCreateMakesOnlyTheseCalls(t *testing.T) {
	var calls []call
	for _, objects := range [][]runtime.Object{nil, {secret(nil)}, {secret(data(mustIssue(t, hosts, noon)))}} {
		api := newFakeAPI(t, objects...)
		if err := createAtNoon(t, api, io.Discard); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, api.calls()...)
	}
	checkCalls(t, append(configurationCalls("get"), []call{
		{"get", "", "secrets", "ns", "tls"},
		{"create", "", "secrets", "ns", ""},
		{"update", "", "secrets", "ns", "tls"},
	}...), calls)
}
