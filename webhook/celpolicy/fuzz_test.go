package celpolicy

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParity compares the verdicts of the webhook and the policies about pods with any references, one in
// each line. An update has the first half of the images of the old pod.
func FuzzParity(f *testing.F) {
	names := slices.Sorted(maps.Keys(policies))
	var engines []engine
	for i, name := range names {
		engines = append(engines, newEngine(f, policies[name]))
		for chunk := range slices.Chunk(references, 20) {
			f.Add(uint8(i), false, strings.Join(chunk, "\n"))
		}
	}
	f.Add(uint8(0), true, "nginx\nnginx:1\nbusybox")
	f.Fuzz(func(t *testing.T, number uint8, update bool, text string) {
		if !utf8.ValidString(text) || !isASCII(text) || len(text) > 5000 {
			t.Skip("the API server refuses other texts, and only the webhook writes names in ASCII")
		}
		e, images := engines[int(number)%len(engines)], strings.Split(text, "\n")
		if update {
			e.compare(t, podWith(images...), podWith(images[:len(images)/2]...))
			return
		}
		e.compare(t, podWith(images...), nil)
	})
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf || r < ' ' && r != '\n' || r == 0x7f })
}
