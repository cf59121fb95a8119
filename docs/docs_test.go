// Package docs checks the documentation without a cluster: both READMEs have the same
// commands, and every command, variable, flag and file that a page names exists. Package e2e
// checks on a cluster that a terminal shows what a page shows; the tests of the server check
// the table of flags and the answers to invalid requests.
package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// history is the page that may name things that do not exist any more.
const history = "CHANGELOG.md"

// pages returns all pages of the documentation.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/image-policy/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no pages %s: %v", pattern, err)
		}
		for _, file := range files {
			if path := strings.TrimPrefix(file, root+"/"); path != history {
				all = append(all, readPage(t, path))
			}
		}
	}
	return all
}

// Only comments are translated.
func TestTranslationHasTheSameCommands(t *testing.T) {
	english, chinese := readPage(t, "README.md"), readPage(t, "README.zh-CN.md")
	if diff := cmp.Diff(english.copied(), chinese.copied()); diff != "" {
		t.Errorf("commands (-README.md +README.zh-CN.md):\n%s", diff)
	}
	if diff := cmp.Diff(english.levels(), chinese.levels()); diff != "" {
		t.Errorf("levels of the headings (-README.md +README.zh-CN.md):\n%s", diff)
	}
}

func TestPagesNameExistingThings(t *testing.T) {
	r := openRepository(t)
	for _, p := range pages(t) {
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			for _, code := range p.commands() {
				for _, c := range commandsIn(code.Text) {
					for _, problem := range r.problems(c) {
						t.Errorf("%s:%d: `%s`: %s", p.path, code.Line, c, problem)
					}
				}
			}
		})
	}
}

// A block of Go names the file that it quotes, and so does a block of text.
func TestBlocksQuoteTheirFile(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			language, file, _ := strings.Cut(b.Info, " ")
			if language != "go" && language != "text" {
				continue
			}
			source, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s:%d: name the quoted file after ```%s: %v", p.path, b.Line, language, err)
			} else if !strings.Contains(withoutIndent(string(source)), withoutIndent(b.Text)) {
				t.Errorf("%s:%d: this text is not in %s", p.path, b.Line, file)
			}
		}
	}
}

// withoutIndent returns text without the indentation of its lines.
func withoutIndent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

func TestProblemsAreFound(t *testing.T) {
	r := openRepository(t)
	for _, tt := range []struct {
		text string   // of a page
		want []string // the problems
	}{
		{"make test e2e FOCUS=pull", nil},
		{"ENGINE=none make demo", nil},
		{"make tset", []string{"the Makefile has no target tset"}},
		{"make e2e FOKUS=pull", []string{"neither the Makefile nor a script reads FOKUS"}},
		{"KEEPS=1", []string{"neither the Makefile nor a script reads KEEPS"}},
		{`eval "$(bin/cluster env)" && bin/controlplane up --name x`, nil},
		{"bin/cluster upp", []string{"tools/cmd/cluster has no verb upp"}},
		{"bin/cluster load --pull-through", []string{"tools/cmd/cluster load has no flag --pull-through"}},
		{"bin/clutser up", []string{"there is no tools/cmd/clutser"}},
		{"go run ./tools/cmd/image --arch=arm64 | tail", nil},
		{"go run ./tools/cmd/image --arhc=arm64", []string{"tools/cmd/image has no flag --arhc"}},
		{"go test ./webhook/admision -update", []string{"there is no webhook/admision"}},
		{"image-webhook serve --tls-cert=x", nil},
		{"image-webhook serve --tls-crt=x", []string{"webhook/cmd/image-webhook serve has no flag --tls-crt"}},
		{"kubectl image-webhook status --output=json", nil},
		{"kubectl image-webhook state", []string{"webhook/cmd/kubectl-image_webhook has no verb state"}},
		{"kubectl image-webhook status --quiet", []string{"webhook/cmd/kubectl-image_webhook status has no flag --quiet"}},
		{"bin/kubectl-image_webhook status -o json", nil},
		{"--exempt-images=quay.io/team", nil},
		{"--exempt-image", []string{"no tool has the flag --exempt-image"}},
		{"kubectl apply -f 05-webhookconfigure.yaml", nil},
		{"kubectl apply -f 05-webhook.yaml", []string{"there is no deploy/05-webhook.yaml"}},
		{"ANY_CLUSTER=1 scripts/dney.sh", []string{"there is no scripts/dney.sh"}},
	} {
		var got []string
		for _, c := range commandsIn(tt.text) {
			got = slices.Concat(got, r.problems(c))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}
