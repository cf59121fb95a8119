package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/image-webhook/image-webhook/tools/markdown"
)

// ownerPage is the page whose blocks need the manifests for the owners of namespaces. Specs with
// the name `namespace owner` run them.
const ownerPage = "../docs/namespace-owner.md"

// checkPage is the page whose blocks need the charts in testdata, and write files.
const checkPage = "check.md"

// nodeMirrorsPage is a page whose blocks write files.
const nodeMirrorsPage = "node-mirrors.md"

// copyCharts returns a directory with a copy of the charts.
func copyCharts() string {
	GinkgoHelper()
	directory := GinkgoT().TempDir()
	Expect(os.CopyFS(filepath.Join(directory, "shop"), os.DirFS("testdata/shop"))).To(Succeed())
	return directory
}

// These specs run the `console` blocks of all other pages, each in its own namespace instead of
// `default`.
var _ = Describe("manual", Label(devCluster), func() {
	runBlocks(findPages("../README.md", "../CONTRIBUTING.md", "../docs/*.md"), func(SpecContext) {})
})

// runBlocks declares a spec for each `console` block of pages. The spec calls setUp first. It
// panics if there is no block.
func runBlocks(pages []string, setUp func(SpecContext)) {
	blocks := 0
	for _, page := range pages {
		for _, block := range readBlocks(page) {
			blocks++
			It("shows the real terminal output in the block at line "+strconv.Itoa(block.line)+" of "+block.page, func(ctx SpecContext) {
				skipIfPullThrough(ctx)
				setUp(ctx)
				terminal := newTerminal(ctx)
				switch block.page {
				case checkPage:
					terminal.directory = copyCharts()
				case nodeMirrorsPage:
					terminal.directory = GinkgoT().TempDir()
				}
				for _, command := range block.commands {
					terminal.expect(ctx, command)
				}
			})
		}
	}
	if blocks == 0 {
		panic(fmt.Sprintf("pages %q have no console block", pages))
	}
}

// findPages returns the files that match patterns, except ownerPage. It panics if a pattern
// matches no file.
func findPages(patterns ...string) (pages []string) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			panic(fmt.Sprintf("no page matches %q: %v", pattern, err))
		}
		pages = append(pages, found...)
	}
	return slices.DeleteFunc(pages, func(page string) bool { return page == ownerPage })
}

// terminalBlock is a `console` block of a page.
type terminalBlock struct {
	page     string
	line     int // of its first line in the page
	commands []terminalCommand
}

// terminalCommand is a command after a prompt, and its output.
type terminalCommand struct {
	line   string
	output []string
}

func readBlocks(path string) (blocks []terminalBlock) {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for _, console := range markdown.Parse(content).Blocks {
		if console.Info != "console" {
			continue
		}
		block := terminalBlock{page: filepath.Base(path), line: console.Line}
		for line := range strings.SplitSeq(console.Text, "\n") {
			if line != "" && !block.add(line) {
				panic(fmt.Sprintf("%s:%d: a console block does not start with a prompt: start it with \"$ \"", path, console.Line))
			}
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// add adds the next line of the block, which is not empty. It returns false for a line before
// the first command.
func (b *terminalBlock) add(line string) bool {
	command, isCommand := strings.CutPrefix(line, "$ ")
	switch {
	case isCommand:
		b.commands = append(b.commands, terminalCommand{line: command})
	case len(b.commands) == 0:
		return false
	default:
		last := &b.commands[len(b.commands)-1]
		last.output = append(last.output, line)
	}
	return true
}

// terminal is a shell in which kubectl uses a namespace of the suite's cluster.
type terminal struct {
	namespace  string
	kubeconfig string
	directory  string
}

func newTerminal(ctx context.Context) terminal {
	GinkgoHelper()
	t := terminal{namespace: newNamespace(ctx), kubeconfig: filepath.Join(GinkgoT().TempDir(), "kubeconfig"), directory: ".."}
	content, err := os.ReadFile(target.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(t.kubeconfig, content, 0o600)).To(Succeed())
	t.run(ctx, "kubectl config set-context --current --namespace="+t.namespace)
	return t
}

// expect runs the command and asserts its output. It repeats `kubectl get` until the output
// is correct, like a user.
func (t terminal) expect(ctx context.Context, command terminalCommand) {
	GinkgoHelper()
	want := normalize(asInThisForm(strings.Join(command.output, "\n")))
	diff := func() string { return cmp.Diff(want, normalize(t.run(ctx, command.line))) }
	if strings.HasPrefix(command.line, "kubectl get ") {
		Eventually(diff).WithContext(ctx).Should(BeEmpty(), "$ "+command.line+"\n(-manual +terminal)")
		return
	}
	Expect(diff()).To(BeEmpty(), "$ "+command.line+"\n(-manual +terminal)")
}

// run returns the output of a command line, with `default` as its namespace.
func (t terminal) run(ctx context.Context, line string) string {
	GinkgoHelper()
	var output bytes.Buffer
	line = strings.NewReplacer("/default/", "/"+t.namespace+"/", "--namespace=default", "--namespace="+t.namespace).Replace(line)
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = t.directory
	cmd.Env = shellEnv(t.kubeconfig)
	cmd.Stdout, cmd.Stderr = &output, &output
	_ = cmd.Run() // an error, such as a denial, is part of the compared output
	return asInWebhookForm(strings.ReplaceAll(output.String(), t.namespace, "default"))
}

// variableTexts match texts that differ between runs: hashes, times and durations, and the
// width of the columns that contain them. They also match empty lines.
var variableTexts = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`[0-9a-f]{12,}`), "HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(ms|s|m|h|d|y))+\b`), "SPAN"},
	{regexp.MustCompile(`  +`), "  "},
	{regexp.MustCompile(`\n\n+`), "\n"}, // readBlocks skips empty lines
}

// normalize replaces the variable texts.
func normalize(text string) string {
	for _, variable := range variableTexts {
		text = variable.pattern.ReplaceAllString(text, variable.replacement)
	}
	return strings.TrimSpace(text)
}
