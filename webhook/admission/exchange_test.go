package admission

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLargeReviewsReserveTheMemoryOfTheirAnswer(t *testing.T) {
	containers := strings.Repeat(`{"name":"app","image":"nginx:1"},`, 80_000)
	x := newExchange()
	defer x.release()
	x.memory.context = t.Context()
	x.body = []byte(join(uid, pod, create, `"object":{"spec":{"containers":[`+strings.TrimSuffix(containers, ",")+`]}}`))
	answer := admissionReviews(Mutate(Changes{Mirrors: newPolicy(t, exampleRules).Mirrors}))
	err := answer(newReporter(slog.New(slog.DiscardHandler)), x)
	if err != nil {
		t.Fatal(err)
	}
	// The patch is in the answer too, in base64, and both grow by doubling.
	if reserved, needed := x.memory.reserved, 4*int64(len(x.answer)); reserved < needed {
		t.Errorf("reserved %d bytes, want at least %d for an answer of %d", reserved, needed, len(x.answer))
	}
}
