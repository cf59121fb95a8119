package markdown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceSectionKeepsMarkersAndSurroundings(t *testing.T) {
	const (
		before = "# Page\n\n<!-- begin other: written by `make x` -->\nother\n<!-- end other -->\n\n"
		after  = "\n\nText\n\n<!-- end a.b -->\n"
		begin  = "<!-- begin axb: written by `make bench` -->"
		end    = "<!-- end axb -->"
		want   = before + begin + "\n\n| a |\n| - |\n\n" + end + after
	)
	for name, old := range map[string]string{
		"empty":           begin + "\n" + end,
		"one line":        begin + "\nold\n" + end,
		"several blocks":  begin + "\n\nold\n\nold\n\n" + end,
		"already written": begin + "\n\n| a |\n| - |\n\n" + end,
	} {
		got, err := ReplaceSection(before+old+after, "axb", "\n| a |\n| - |\n")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReplaceSectionKeepsDollarSigns(t *testing.T) {
	got, err := ReplaceSection("<!-- begin a: written by b -->\n<!-- end a -->\n", "a", "costs $1, ${2}")
	if want := "<!-- begin a: written by b -->\n\ncosts $1, ${2}\n\n<!-- end a -->\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestReplaceSectionRefusesWrongMarkers(t *testing.T) {
	const begin, end = "<!-- begin a: written by b -->\n", "<!-- end a -->\n"
	for _, test := range []struct{ name, text, want string }{
		{"no markers", "text\n", `the marker "<!-- begin a: written by COMMAND -->" is on 0 lines: write it on exactly one line`},
		{"another section", "<!-- begin ab: written by b -->\n<!-- end ab -->\n", `the marker "<!-- begin a: written by COMMAND -->" is on 0 lines: write it on exactly one line`},
		{"no command", "<!-- begin a -->\n" + end, `the marker "<!-- begin a: written by COMMAND -->" is on 0 lines: write it on exactly one line`},
		{"no end", begin, `the marker "<!-- end a -->" is on 0 lines: write it on exactly one line`},
		{"two begins", begin + begin + end, `the marker "<!-- begin a: written by COMMAND -->" is on 2 lines: write it on exactly one line`},
		{"two ends", begin + end + end, `the marker "<!-- end a -->" is on 2 lines: write it on exactly one line`},
		{"swapped", end + begin, `section "a": its end is before its begin: swap the markers`},
		{"quoted in a line", "`" + begin + "`" + end, `the marker "<!-- begin a: written by COMMAND -->" is on 0 lines: write it on exactly one line`},
	} {
		if got, err := ReplaceSection(test.text, "a", "new"); err == nil || err.Error() != test.want || got != "" {
			t.Errorf("%s: got %q, %v, want the error %q", test.name, got, err, test.want)
		}
	}
}
