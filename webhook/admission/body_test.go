package admission

import (
	"strings"
	"testing"
)

func TestCountElements(t *testing.T) {
	// long makes a text large enough to be scanned; its commas are not in a list.
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
		{"zeros, nulls and strings", `[` + long + `,0,null,""]`, 4},
		{"lists of lists", `[` + long + `,[[],[0,0]]]`, 7},
		{"brackets and quotes in strings", `{"a":"[,\"[,\\",` + `"b":[0],"c":` + long + `}`, 1},
		{"a string that does not end", `[` + long + `,"[,[,`, 2},
		{"a quote at the end", `[` + long + `,"\`, 2},
		{"closed too often", `]}]}` + long + `,[0`, 1},
		{"deep", strings.Repeat("[", 2*maxDepth), maxDepth + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := countElements([]byte(tt.body)); got != tt.want {
				t.Errorf("%d elements, want %d", got, tt.want)
			}
		})
	}
}
