package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/ownercontroller"
)

// TestFailuresOfNamespaceOwner stops the webhook, and starts and kills controllers. Its parts run
// one after the other, because there is one webhook and one leader.
func TestFailuresOfNamespaceOwner(t *testing.T) {
	t.Parallel()
	r := &replicas{ownerServer: sharedOwnerServer(t, startReplicasServer), templates: filepath.Join(t.TempDir(), "templates")}
	r.prepare(t)
	t.Run("webhook does not answer", r.testOutage)
	t.Run("webhook is skipped by a selector", r.testSkippedWebhook)
	t.Run("missing ClusterRole is reported until it exists", r.testMissingRole)
	t.Run("killed controllers converge", r.testKilledControllers)
	t.Run("standby replaces a leader with another clock", r.testTakeover)
	t.Run("two leaders agree", r.testTwoLeaders)
	t.Run("cache has the quota of an earlier namespace", r.testStaleCache)
	t.Run("rights of a former owner do not outlive a crash", r.testCrashBeforeReady)
}

// replicas starts controllers on a server without one.
type replicas struct {
	*ownerServer
	templates  string // the directory of the template
	kubeconfig string
	running    []*replica
}

// replica is a controller in a process of its own.
type replica struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan error
}

// prepare writes the template of the manifests, and a kubeconfig of the service account.
func (r *replicas) prepare(t *testing.T) {
	t.Helper()
	template, err := r.client.CoreV1().ConfigMaps("image-webhook").Get(t.Context(), ownedName, metav1.GetOptions{})
	if err == nil {
		err = os.Mkdir(r.templates, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range template.Data {
		write(t, filepath.Join(r.templates, name), []byte(content))
	}
	content, err := r.KubeconfigAs(controllerUser)
	if err != nil {
		t.Fatal(err)
	}
	r.kubeconfig = filepath.Join(r.Dir, "controller.kubeconfig")
	write(t, r.kubeconfig, content)
	t.Cleanup(func() { r.kill(t) })
}

// start starts a controller. The kernel kills it when this process ends.
func (r *replicas) start(t *testing.T) {
	t.Helper()
	program, err := webhookProgram()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.CreateTemp(r.Dir, "controller-*.log")
	if err != nil {
		t.Fatal(err)
	}
	started := &replica{log: log, done: make(chan error, 1)}
	started.cmd = exec.Command(filepath.Join(filepath.Dir(program), ownedName),
		"--kubeconfig="+r.kubeconfig, "--cluster-role=admin", "--template-dir="+r.templates, "--health-addr=127.0.0.1:0")
	started.cmd.Stderr = log
	started.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := started.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { started.done <- started.cmd.Wait() }()
	r.running = append(r.running, started)
}

// kill kills all controllers. None of them must have ended before.
func (r *replicas) kill(t *testing.T) {
	t.Helper()
	for _, running := range r.running {
		select {
		case err := <-running.done:
			log, _ := os.ReadFile(running.log.Name()) // the error is enough without it
			t.Errorf("a controller has ended early: %v\n%s", err, log)
		default:
			_ = running.cmd.Process.Kill()
			<-running.done
		}
		running.log.Close()
	}
	r.running = nil
}

// release deletes the Lease, so that the next controller need not wait until it expires.
func (r *replicas) release(t *testing.T) {
	t.Helper()
	err := r.client.CoordinationV1().Leases("image-webhook").Delete(t.Context(), ownedName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// testMissingRole leaves one controller running.
func (r *replicas) testMissingRole(t *testing.T) {
	roles := r.client.RbacV1().ClusterRoles()
	admin, err := roles.Get(t.Context(), "admin", metav1.GetOptions{})
	if err == nil {
		err = roles.Delete(t.Context(), "admin", metav1.DeleteOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	r.start(t)
	name := newName("norole")
	r.createOwned(t, name, "alice")
	message := r.waitCondition(t, name, "RoleNotFound")
	if !strings.Contains(message, `ClusterRole "admin" does not exist: create it`) {
		t.Errorf("the condition has the message %q", message)
	}
	r.waitEvent(t, "default", name, "RoleNotFound", `ClusterRole "admin" does not exist`)
	r.mustNotBind(t, name)
	admin.ResourceVersion, admin.UID = "", ""
	if _, err := roles.Create(t.Context(), admin, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.waitBound(t, name, "alice")
	r.canCreate(t, name, "alice")
}

// burst creates namespaces at once and returns their names.
func (r *replicas) burst(t *testing.T, count int) (names []string) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for range count {
		name := newName("burst")
		names = append(names, name)
		group.Go(func() error {
			_, err := r.mustAs("alice", creators).CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return names
}

// objects returns the number of objects of the controllers in all namespaces.
func (r *replicas) objects(t *testing.T) (count int) {
	t.Helper()
	named := metav1.ListOptions{FieldSelector: "metadata.name=" + ownedName}
	limits, err := r.client.CoreV1().LimitRanges("").List(t.Context(), named)
	if err != nil {
		t.Fatal(err)
	}
	quotas, err := r.client.CoreV1().ResourceQuotas("").List(t.Context(), named)
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := r.client.RbacV1().RoleBindings("").List(t.Context(), named)
	if err != nil {
		t.Fatal(err)
	}
	return len(limits.Items) + len(quotas.Items) + len(bindings.Items)
}

// testKilledControllers kills two controllers at random points of a burst, several times.
func (r *replicas) testKilledControllers(t *testing.T) {
	const count, rounds = 30, 4
	before := r.objects(t)
	r.start(t) // the second
	names := r.burst(t, count)
	for round := range rounds {
		// Of the 3 objects of each namespace, a few more exist in each round.
		limit := before + round*3*count/rounds + rand.IntN(3*count/rounds)
		waitUntil(t, fmt.Sprintf("%d objects exist", limit), func() bool { return r.objects(t) >= limit })
		r.kill(t)
		r.release(t)
		r.start(t)
		r.start(t)
	}
	r.mustConverge(t, names)
}

// mustConverge checks that namespaces become ready with all their objects.
func (r *replicas) mustConverge(t *testing.T, names []string) {
	t.Helper()
	var want ownedSpecs
	for _, name := range names {
		r.waitBound(t, name, "alice")
		got := r.ownedObjects(t, name)
		if want.Quota == nil {
			want = got
		}
		if diff := gocmp.Diff(want, got); diff != "" || got.Quota == nil || got.Limits == nil || got.Role == nil {
			t.Errorf("objects of namespace %s differ (-want +got):\n%s", name, diff)
		}
	}
}

// testTakeover kills the leader without a trace, and makes the Lease look as if the clock of the
// leader were an hour ahead. The standby must not compare that time with its own clock.
func (r *replicas) testTakeover(t *testing.T) {
	leases := r.client.CoordinationV1().Leases("image-webhook")
	r.kill(t)
	lease, err := leases.Get(t.Context(), ownedName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	holder, ahead := "dead-leader", metav1.NewMicroTime(time.Now().Add(time.Hour))
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.AcquireTime = &holder, &ahead, &ahead
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	names := r.burst(t, 3)
	r.mustConverge(t, names)
}

// testTwoLeaders runs two controllers that both believe to lead. Each has a Lease of its own in a
// fake API. Trap: leader election does not fence (k8s.io/client-go/tools/leaderelection).
func (r *replicas) testTwoLeaders(t *testing.T) {
	r.kill(t)
	var stops []func() error
	for i := range 2 {
		config := r.As(controllerUser)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &fakeLease{next: next} })
		_, stop := r.runController(t, ownercontroller.Options{Config: config, TemplateDir: r.templates, Identity: fmt.Sprintf("leader-%d", i)})
		stops = append(stops, stop)
	}
	names := r.burst(t, 10)
	r.mustConverge(t, names)
	for _, name := range names { // both must follow the same hand-over
		r.patchOwner(t, name, "bob")
	}
	for _, name := range names {
		r.waitBound(t, name, "bob")
	}
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Errorf("a controller has ended with error %v", err)
		}
	}
	r.mustNotRepeatWrites(t, names)
}

// mustNotRepeatWrites checks that the controllers did not undo each other's writes.
func (r *replicas) mustNotRepeatWrites(t *testing.T, names []string) {
	t.Helper()
	// Each of the two may write each object for the creation and for the hand-over, and once
	// more because of a cache that is behind.
	const limit = 2 * 3
	for _, name := range names {
		count := map[string]int{}
		for _, w := range r.writes(t, name) {
			count[w.describe()]++
		}
		for _, resource := range []string{"limitranges", "resourcequotas", "rolebindings", "namespaces/status"} {
			if got := count[controllerUser+" "+resource]; got > limit {
				t.Errorf("namespace %s: %d writes of %s, want at most %d", name, got, resource, limit)
			}
		}
	}
}

// fakeLease answers the requests about Leases of one controller itself.
type fakeLease struct {
	next http.RoundTripper

	mu      sync.Mutex
	content []byte
	kind    string // the content type
}

func (f *fakeLease) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.Contains(request.URL.Path, "/leases") {
		return f.next.RoundTrip(request)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	response := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: request, ProtoMajor: 1}
	if request.Body != nil {
		content, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		f.content, f.kind = content, request.Header.Get("Content-Type")
	}
	if f.content == nil {
		response.StatusCode = http.StatusNotFound
	}
	response.Header.Set("Content-Type", f.kind)
	response.Body = io.NopCloser(bytes.NewReader(f.content))
	return response, nil
}

// testCrashBeforeReady starts a controller after another one was killed between binding the owner
// of an adopted namespace and setting its label, and after the owner was removed.
func (r *replicas) testCrashBeforeReady(t *testing.T) {
	name := r.namespace(t, nil)
	r.patchOwner(t, name, "alice")
	r.start(t)
	r.release(t)
	r.waitBound(t, name, "alice")
	r.kill(t)
	// The state in which a killed controller leaves the namespace.
	r.patchOwner(t, name, "")
	found := r.get(t, name)
	ownership{}.write(&found.ObjectMeta)
	if _, err := r.client.CoreV1().Namespaces().Update(t.Context(), found, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.release(t)
	r.start(t)
	waitUntil(t, "the RoleBinding of the former owner is deleted", func() bool { return r.ownedObjects(t, name).Role == nil })
}
