package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// What the manual shows of a terminal is run, block by block, each in a namespace
// of its own instead of `default`. (README.zh-CN.md shows the same as README.md, by
// the test of docs/.)
var _ = Describe("manual", Label(devCluster), func() {
	for _, block := range terminalBlocks("../README.md", "../CONTRIBUTING.md", "../docs/*.md") {
		It("shows what a terminal says, from line "+strconv.Itoa(block.line)+" of "+block.page, func(ctx SpecContext) {
			skipWherePullThrough(ctx)
			terminal := newTerminal(ctx)
			for _, c := range block.commands {
				terminal.expect(ctx, c)
			}
		})
	}
})

// terminalBlock is one of the blocks that are marked as `console`; in a list they
// are indented.
type terminalBlock struct {
	page     string
	line     int // of the page, where it begins
	commands []terminalCommand
}

// terminalCommand is what a person types after the prompt, and what comes.
type terminalCommand struct {
	line   string
	output []string
}

// terminalBlocks reads the blocks of the Markdown files that match patterns. It panics
// where a pattern matches nothing, and where nothing has a block: then the specs are
// lost, and with them the reason for this file.
func terminalBlocks(patterns ...string) (blocks []terminalBlock) {
	for _, pattern := range patterns {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			panic(fmt.Sprintf("no page is called %s: %v", pattern, err))
		}
		for _, page := range pages {
			blocks = append(blocks, blocksOf(page)...)
		}
	}
	if len(blocks) == 0 {
		panic(fmt.Sprintf("%s show no terminal", patterns))
	}
	return blocks
}

func blocksOf(path string) (blocks []terminalBlock) {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	inside, indent := false, ""
	for i, line := range strings.Split(string(content), "\n") {
		switch text := strings.TrimLeft(line, " "); {
		case text == "```console":
			inside, indent = true, line[:len(line)-len(text)]
			blocks = append(blocks, terminalBlock{page: filepath.Base(path), line: i + 1})
		case strings.HasPrefix(text, "```"):
			inside = false
		case inside:
			last := &blocks[len(blocks)-1]
			if !last.add(strings.TrimPrefix(line, indent)) {
				panic(fmt.Sprintf("%s:%d: a terminal begins with a prompt", path, i+1))
			}
		}
	}
	return blocks
}

// add takes the next line of the block, and says whether it belongs to a command.
// Empty ones are there for the eye.
func (b *terminalBlock) add(line string) bool {
	command, isCommand := strings.CutPrefix(line, "$ ")
	switch {
	case isCommand:
		b.commands = append(b.commands, terminalCommand{line: command})
	case len(b.commands) == 0:
		return false
	case line != "":
		last := &b.commands[len(b.commands)-1]
		last.output = append(last.output, line)
	}
	return true
}

// terminal is a shell whose kubectl points at a namespace of the suite's cluster.
type terminal struct {
	namespace  string
	kubeconfig string
}

func newTerminal(ctx context.Context) terminal {
	GinkgoHelper()
	t := terminal{namespace: newNamespace(ctx), kubeconfig: filepath.Join(GinkgoT().TempDir(), "kubeconfig")}
	content, err := os.ReadFile(target.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(t.kubeconfig, content, 0o600)).To(Succeed())
	t.run(ctx, "kubectl config set-context --current --namespace="+t.namespace)
	return t
}

// expect runs the command. One that only looks is repeated until it shows what the
// page does, as a person would repeat it.
func (t terminal) expect(ctx context.Context, c terminalCommand) {
	GinkgoHelper()
	want := plain(strings.Join(c.output, "\n"))
	got := func() string { return cmp.Diff(want, plain(t.run(ctx, c.line))) }
	if strings.HasPrefix(c.line, "kubectl get ") {
		Eventually(got).WithContext(ctx).Should(BeEmpty(), "$ "+c.line+"\n(-manual +terminal)")
		return
	}
	Expect(got()).To(BeEmpty(), "$ "+c.line+"\n(-manual +terminal)")
}

// run returns what a person would see.
func (t terminal) run(ctx context.Context, line string) string {
	GinkgoHelper()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(line, "/default/", "/"+t.namespace+"/"))
	cmd.Dir = ".."
	cmd.Env = shellEnv(t.kubeconfig)
	cmd.Stdout, cmd.Stderr = &output, &output
	_ = cmd.Run() // what a denial says is compared, as all else is
	return strings.ReplaceAll(output.String(), t.namespace, "default")
}

// unlike is what differs from run to run: digests and their like, times and spans
// of time, and the columns that move with them.
var unlike = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{12,}`), "HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(ms|s|m|h|d|y))+\b`), "SPAN"},
	{regexp.MustCompile(`  +`), "  "},
}

// plain is text without what may differ.
func plain(text string) string {
	for _, u := range unlike {
		text = u.pattern.ReplaceAllString(text, u.instead)
	}
	return strings.TrimSpace(text)
}
