package markdown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	for _, test := range []struct{ heading, want string }{
		{"Quick start", "quick-start"},
		{"A real API server, without a cluster", "a-real-api-server-without-a-cluster"},
		{"What's `make up` for?", "whats-make-up-for"},
		{"*Two* **kinds** of [link](x)", "two-kinds-of-link"},
		{"snake_case and kebab-case", "snake_case-and-kebab-case"},
		{"a & b", "a--b"}, // the spaces stay
		{"快速开始", "快速开始"},
		{"配置：镜像", "配置镜像"},
	} {
		want := []Heading{{1, test.want}}
		if diff := cmp.Diff(want, Parse([]byte("# "+test.heading)).Headings); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.heading, diff)
		}
	}
}

func TestParseReturnsHeadingsLinksBlocksAndCode(t *testing.T) {
	const page = "# One\n\ntext `a\nb` and [link](x.md)\n\n" + // lines 1 to 4
		"```sh\nls `x`\n```\n\n" + // 6 to 8
		"## One\n\n1. item\n\n   ```\n   indented\n     more\n   ```\n\n" + // 10 to 17
		"```go a.go\n```\n\n![image](y.png)\n\n<!-- `html` -->\n"
	want := Document{
		Headings: []Heading{{1, "one"}, {2, "one-1"}},
		Links:    []Link{{"x.md", 4}, {"y.png", 22}},
		Blocks:   []Block{{"sh", "ls `x`\n", 6}, {"", "indented\n  more\n", 14}, {"go a.go", "", 19}},
		Code:     []Span{{"a b", 3}},
	}
	if diff := cmp.Diff(want, Parse([]byte(page))); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}
