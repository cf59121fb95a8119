package terminaltext

import "testing"

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		`nginx "1" C:\a`:      `nginx "1" C:\a`,
		"\u955c\u50cf \u00fc": "\u955c\u50cf \u00fc",
		"a\nb\tc\r":           `a\nb\tc\r`,
		"\x1b[2J\a\x7f":       `\x1b[2J\a\x7f`,
		"\u202e\u200b\u2028":  `\u202e\u200b\u2028`,
		"\u009b31m\xff\ufffd": `\u009b31m\xff` + "\ufffd",
	} {
		got := Clean(text)
		if got != want || !IsClean(got) || IsClean(text) != (got == text) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCountUsesSeparators(t *testing.T) {
	for n, want := range map[int]string{0: "0 pods", 1: "1 pod", 999: "999 pods", 1000: "1,000 pods", 1234567: "1,234,567 pods"} {
		if got := Count(n, "pod"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
