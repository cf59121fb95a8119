package admission

import (
	"strings"
	"testing"
)

func TestElements(t *testing.T) {
	// long is enough for a text to be looked through; it is no part of a list.
	long := `"` + strings.Repeat(",", smallBody/elementSize) + `"`
	tests := []struct {
		name string
		body string
		want int64
	}{
		{"empty", ``, 0},
		{"small: all commas and brackets", `{"a":1,"b":[2,3]}`, 3},
		{"large", `{"a":1,"b":[2,3],"c":` + long + `}`, 2},
		{"objects", `[` + long + `,{"a":1,"b":2},{}]`, 3},
		{"zeros, nulls and texts", `[` + long + `,0,null,""]`, 4},
		{"lists of lists", `[` + long + `,[[],[0,0]]]`, 7},
		{"brackets and quotes in texts", `{"a":"[,\"[,\\",` + `"b":[0],"c":` + long + `}`, 1},
		{"a text that does not end", `[` + long + `,"[,[,`, 2},
		{"a quote at the end", `[` + long + `,"\`, 2},
		{"closed too often", `]}]}` + long + `,[0`, 1},
		{"deep", strings.Repeat("[", 2*maxDepth), maxDepth + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := elements([]byte(tt.body)); got != tt.want {
				t.Errorf("%d elements, want %d", got, tt.want)
			}
		})
	}
}
