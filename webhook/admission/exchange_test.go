package admission

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLargeReviewsReserveTheMemoryOfTheirAnswer(t *testing.T) {
	containers := strings.Repeat(`{"name":"app","image":"nginx:1"},`, 80_000)
	x := newExchange()
	defer x.release()
	x.memory.context = t.Context()
	x.body = []byte(join(uid, pod, create, `"object":{"spec":{"containers":[`+strings.TrimSuffix(containers, ",")+`]}}`))
	answer := admissionReviews(Fixed(Rules{}), mutateBy(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors}).verdict)
	err := answer(newReporter(slog.New(slog.DiscardHandler)), x)
	if err != nil {
		t.Fatal(err)
	}
	// The patch is in the answer too, in base64, and both grow by doubling.
	if reserved, needed := x.memory.reserved, 4*int64(len(x.answer)); reserved < needed {
		t.Errorf("reserved %d bytes, want at least %d for an answer of %d", reserved, needed, len(x.answer))
	}
}

// TestMediumReviewsUseTheirBuffersAgain also checks that a review cannot see the body of another.
func TestMediumReviewsUseTheirBuffersAgain(t *testing.T) {
	h := newHandler(slog.New(slog.DiscardHandler), admissionReviews(Fixed(Rules{}), denyBy(newPolicy(t, exampleRules)).verdict))
	bodyWith := func(size int, image string) []byte {
		return []byte(join(uid, pod, create, `"object":`+podOf(image)) + strings.Repeat(" ", size))
	}
	for _, size := range []int{0, smallBody, 2 * smallBody, mediumBody - 1024, mediumBody, 2 * mediumBody} {
		if got := serve(h, bodyWith(size, "nginx:1.25")).Body.String(); !strings.Contains(got, `"allowed":true`) {
			t.Errorf("%d bytes: %s", size, got)
		}
		if got := serve(h, bodyWith(size/2, "nginx:latest")).Body.String(); !strings.Contains(got, `"allowed":false`) {
			t.Errorf("%d bytes: %s", size/2, got)
		}
	}
	if _, bytes := InFlight(); bytes.Used != 0 {
		t.Errorf("%d bytes are still reserved", bytes.Used)
	}
}

func TestMediumReviewsReserveTheirBuffers(t *testing.T) {
	x := newExchange()
	defer x.release()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat(" ", smallBody+1)))
	r.Header.Set("Content-Type", jsonType)
	if rejected := x.readBody(httptest.NewRecorder(), r); rejected != nil {
		t.Fatal(rejected)
	}
	if x.memory.reserved != mediumBody || cap(x.body) != mediumBody {
		t.Errorf("reserved %d bytes for a buffer of %d, want %d", x.memory.reserved, cap(x.body), mediumBody)
	}
}
