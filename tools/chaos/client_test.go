package chaos

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// fakeServer is an API server that gives the same answer to all requests. A real one cannot be made
// to give some of these answers.
type fakeServer struct {
	*httptest.Server
	requests, connections atomic.Int32
}

func newFakeServer(t *testing.T, answer http.HandlerFunc) *fakeServer {
	t.Helper()
	s := &fakeServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		answer(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *fakeServer) connect(t *testing.T, store int) *client {
	t.Helper()
	c, err := connectClient(&rest.Config{Host: s.URL, QPS: -1}, "chaos-1", store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func busy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
}

func TestClientSendsEachRequestOnce(t *testing.T) {
	server := newFakeServer(t, busy)
	tally := newTally()
	server.connect(t, 0).createPod(t.Context(), request{}, tally)
	figures, _ := tally.figures()
	if diff := cmp.Diff([outcomes]int{noAnswer: 1}, figures[0].Counts); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if got := server.requests.Load(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

func TestClientsShareNoConnection(t *testing.T) {
	server := newFakeServer(t, busy)
	for range 3 {
		c := server.connect(t, 0)
		for range 2 {
			c.createPod(t.Context(), request{}, newTally())
		}
	}
	if got := server.connections.Load(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
}

func TestRequestsAlternateAndSomeAreStored(t *testing.T) {
	for _, test := range []struct{ store, want int }{{0, 0}, {1, 2}, {10, 20}, {30, 60}, {100, 200}} {
		c, stored := &client{store: test.store}, map[bool]int{}
		for n := range 200 {
			r := c.request(n)
			if r.denied != (n%2 == 1) {
				t.Errorf("request %d must be denied: %t", n, r.denied)
			}
			if r.stored {
				stored[r.denied]++
			}
		}
		if stored[false] != stored[true] || stored[false]+stored[true] != test.want {
			t.Errorf("--store=%d stores %d mirrored and %d denied pods, want %d in total", test.store, stored[false], stored[true], test.want)
		}
	}
}

func TestLoadStopsWithoutRequestsInProgress(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	server := newFakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case arrived <- struct{}{}:
			<-answer
		default:
		}
		busy(w, r)
	})
	l := startLoad(t.Context(), []*client{server.connect(t, 0), server.connect(t, 0)}, 100)
	<-arrived
	go close(answer)
	l.stop()
	figures, _ := l.figures()
	if got := figures[0].Counts[noAnswer]; got != int(server.requests.Load()) {
		t.Errorf("recorded %d of %d requests", got, server.requests.Load())
	}
}
