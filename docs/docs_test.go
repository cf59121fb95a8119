// Package docs checks what the manual says, without a cluster: that the READMEs show
// the same commands, and that each command, variable, flag and file that a page names
// exists. Whether a terminal says what a page shows is tested by package e2e, on a
// cluster; whether the table of flags is that of the program, by package webhook.
package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// history is the page that may name what is no more.
const history = "CHANGELOG.md"

// pages are the manual, by their paths from the root of the repository.
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

// What a person copies is the same in both languages; only comments are translated.
func TestTranslationHasTheSameCommands(t *testing.T) {
	english, chinese := readPage(t, "README.md"), readPage(t, "README.zh-CN.md")
	if diff := cmp.Diff(english.toCopy(), chinese.toCopy()); diff != "" {
		t.Errorf("commands (-README.md +README.zh-CN.md):\n%s", diff)
	}
	if diff := cmp.Diff(english.levels, chinese.levels); diff != "" {
		t.Errorf("levels of the headings (-README.md +README.zh-CN.md):\n%s", diff)
	}
}

// toCopy are the blocks of a page that people copy, without comments.
func (p page) toCopy() (blocks []string) {
	for _, b := range p.blocks {
		if b.isCopied() {
			blocks = append(blocks, withoutComments(b.text))
		}
	}
	return blocks
}

// What the pages name is there.
func TestManualNamesWhatExists(t *testing.T) {
	r := openRepository(t)
	for _, p := range pages(t) {
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			for _, f := range p.fragments() {
				for _, c := range commandsIn(f.text) {
					for _, problem := range r.problems(c) {
						t.Errorf("%s:%d: `%s`: %s", p.path, f.line, c, problem)
					}
				}
			}
		})
	}
}

// A block of Go names the file that it is quoted from, and is found there.
func TestGoIsQuoted(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			file, isGo := strings.CutPrefix(b.info, "go")
			if !isGo {
				continue
			}
			source, err := os.ReadFile(filepath.Join(root, strings.TrimSpace(file)))
			if err != nil {
				t.Errorf("%s:%d: a block of Go is marked with the file that it is quoted from: %v", p.path, b.line, err)
			} else if !strings.Contains(withoutIndent(string(source)), withoutIndent(b.text)) {
				t.Errorf("%s:%d: this is not in%s", p.path, b.line, file)
			}
		}
	}
}

// withoutIndent is text whose lines all begin at the margin.
func withoutIndent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// The checks themselves: what is wrong is found, what is right is let pass.
func TestProblems(t *testing.T) {
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
