package markdown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableIsAligned(t *testing.T) {
	const want = `| event    | p50 in ms | 个数 |
| -------- | --------: | -: |
| rollout  |       5.1 |  0 |
| renewal… |      12.3 |    |
`
	got := Table([][]string{{"event", "p50 in ms", "个数"}, {"rollout", "5.1", "0"}, {"renewal…", "12.3", ""}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
