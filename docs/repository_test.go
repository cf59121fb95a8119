package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// separators separate the commands of a line.
var separators = regexp.MustCompile(`&&|\|\|?|;|\$?\(|\)`)

// commandsIn returns the commands of a line, each split at its spaces.
func commandsIn(line string) (commands []command) {
	for _, text := range separators.Split(strings.NewReplacer(`"`, "", `'`, "").Replace(line), -1) {
		if words := strings.Fields(text); len(words) > 0 {
			commands = append(commands, words)
		}
	}
	return commands
}

// command has the words of a command, or other code: a path, a flag, a variable.
type command []string

func (c command) String() string { return strings.Join(c, " ") }

var (
	variable = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)=`)
	flagWord = regexp.MustCompile(`^(--[a-z][a-z-]*)`)
	// ownPath is a path in this repository; ownProgram names a program of it.
	ownPath    = regexp.MustCompile(`^(\./)?((?:webhook|tools|deploy|scripts|e2e|docs|\.github)/[\w.*/-]*[\w*])`)
	manifest   = regexp.MustCompile(`^\d\d-[\w-]+\.yaml$`)
	ownProgram = regexp.MustCompile(`^(bin/)?([a-z_-]+)$`)
)

// repository knows what exists.
type repository struct{ makefile, scripts string }

// programs are the programs of this repository.
type programs struct {
	directory string   // of the binaries
	binaries  sync.Map // of `program`: func() string, its path
	helps     sync.Map // of `program verb`: func() string
}

// built are the programs for all tests. Each is built once, and each help text is read once.
var built programs

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "programs-")
	if err != nil {
		panic(err)
	}
	built.directory = directory
	code := m.Run()
	if err := os.RemoveAll(directory); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func openRepository(t *testing.T) *repository {
	t.Helper()
	return &repository{makefile: contents(t, "Makefile"), scripts: contents(t, "scripts/*.sh")}
}

// contents returns the content of all files that match a pattern.
func contents(t *testing.T, pattern string) (all string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(content)
	}
	return all
}

// problems returns what a command names and does not exist. For programs of others only
// files are checked.
func (r *repository) problems(c command) (problems []string) {
	for _, word := range c {
		problems = append(problems, missingFile(word)...)
	}
	assigned := 0
	for assigned < len(c) && variable.MatchString(c[assigned]) {
		assigned++
	}
	variables, call := c[:assigned], c[assigned:]
	if len(call) == 0 {
		return append(problems, r.unknownVariables(variables)...)
	}
	program, args := call[0], call[1:]
	switch own := ownProgram.FindStringSubmatch(program); {
	case program == "make":
		problems = append(problems, r.unknownVariables(variables)...)
		return append(problems, r.make(args)...)
	case strings.HasPrefix(program, "scripts/"):
		return append(problems, r.unknownVariables(variables)...)
	case program == "kubectl" && len(args) > 0 && args[0] == "image-webhook":
		return append(problems, r.call(folderOf(plugin), args[1:])...)
	case own != nil && (own[1] != "" || slices.Contains(productPrograms, own[2])):
		return append(problems, r.call(folderOf(own[2]), args)...)
	case program == "go" && len(args) > 1 && args[0] == "run":
		return append(problems, r.call(strings.TrimPrefix(args[1], "./"), args[2:])...)
	case flagWord.MatchString(program):
		return append(problems, r.anyFlag(flagWord.FindString(program))...)
	}
	return problems
}

// folderOf returns the directory of a program.
func folderOf(program string) string {
	if slices.Contains(productPrograms, program) {
		return "webhook/cmd/" + program
	}
	return "tools/cmd/" + program
}

// plugin is the program that kubectl runs for `kubectl image-webhook`.
const plugin = "kubectl-image_webhook"

// productPrograms are the programs of the product. Pages call them by their names alone.
var productPrograms = []string{"image-webhook", "certgen", "namespace-owner", plugin}

func missingFile(word string) []string {
	path := ""
	if match := ownPath.FindStringSubmatch(word); match != nil {
		path = match[2]
	} else if manifest.MatchString(word) {
		path = "deploy/" + word
	}
	if found, err := filepath.Glob(filepath.Join(root, path)); err != nil || len(found) == 0 {
		return []string{"there is no " + path}
	}
	return nil
}

// make checks targets and variables.
func (r *repository) make(words []string) (problems []string) {
	for _, word := range words {
		switch {
		case variable.MatchString(word):
			problems = append(problems, r.unknownVariables([]string{word})...)
		case !strings.HasPrefix(word, "-") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(word)+`:`).MatchString(r.makefile):
			problems = append(problems, "the Makefile has no target "+word)
		}
	}
	return problems
}

func (r *repository) unknownVariables(assignments []string) (problems []string) {
	for _, assignment := range assignments {
		name := variable.FindStringSubmatch(assignment)[1]
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(r.makefile + r.scripts) {
			problems = append(problems, "neither the Makefile nor a script reads "+name)
		}
	}
	return problems
}

// call checks the verb and the flags of a program of this repository.
func (r *repository) call(folder string, args []string) (problems []string) {
	if _, err := os.Stat(filepath.Join(root, folder)); err != nil {
		return []string{"there is no " + folder}
	}
	command := folder
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb := args[0]
		if !regexp.MustCompile(`(?m)^\s+(\S+ )?` + regexp.QuoteMeta(verb) + `\b`).MatchString(built.help(folder)) {
			return []string{folder + " has no verb " + verb}
		}
		command += " " + verb
	}
	for _, arg := range args {
		if flag := flagWord.FindString(arg); flag != "" && !hasFlag(built.help(command), flag) {
			problems = append(problems, command+" has no flag "+flag)
		}
	}
	return problems
}

// flagged are the commands whose flags the pages may name without the command.
var flagged = []string{"webhook/cmd/image-webhook serve", "tools/cmd/cluster up", "tools/cmd/controlplane up", "webhook/cmd/certgen create", "webhook/cmd/certgen patch", "webhook/cmd/namespace-owner", "webhook/cmd/kubectl-image_webhook status", "webhook/cmd/kubectl-image_webhook check", "webhook/cmd/kubectl-image_webhook audit", "webhook/cmd/kubectl-image_webhook policy", "tools/cmd/image", "tools/cmd/fuzz", "tools/cmd/chaos"}

func (r *repository) anyFlag(flag string) []string {
	for _, program := range flagged {
		if hasFlag(built.help(program), flag) {
			return nil
		}
	}
	return []string{"no tool has the flag " + flag}
}

func hasFlag(help, flag string) bool {
	return regexp.MustCompile(`(?m)(^|\s)` + regexp.QuoteMeta(flag) + `([\s=]|$)`).MatchString(help)
}

// help returns the help text of a program, or of its verb.
func (p *programs) help(program string) string {
	folder, verb, _ := strings.Cut(program, " ")
	return once(&p.helps, program, func() string {
		binary := once(&p.binaries, folder, func() string { return p.build(folder) })
		text, _ := exec.Command(binary, append(strings.Fields(verb), "--help")...).CombinedOutput() // an error shows as a missing flag
		return string(text)
	})
}

// once returns the value of a key, which it computes once.
func once(values *sync.Map, key string, compute func() string) string {
	value, _ := values.LoadOrStore(key, sync.OnceValue(compute))
	return value.(func() string)()
}

// build builds a program and returns its path. Without the program, all its flags are missing.
func (p *programs) build(folder string) string {
	readSources(folder)
	binary := filepath.Join(p.directory, filepath.Base(folder))
	cmd := exec.Command("go", "build", "-ldflags=-w", "-o", binary, "./"+folder) // without debug information, it links faster
	cmd.Dir = root
	_ = cmd.Run()
	return binary
}

// readSources lets `go test` run this test again when the sources of a program have changed:
// its cache knows only the files that the test itself has read.
func readSources(folder string) {
	_ = filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.ReadFile(path)
		}
		return err
	})
}
