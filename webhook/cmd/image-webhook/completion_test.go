package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// runAsProgram is the environment variable that makes the test binary run as
// image-webhook, which the shell calls for completions.
const runAsProgram = "IMAGE_WEBHOOK_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// completeInBash is a script that loads the completion script and prints the completions
// of the last word. It defines two functions that the completion script calls:
// _init_completion, which is in the package bash-completion, and compopt, which fails
// outside of an interactive completion.
const completeInBash = `
_init_completion() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${words[cword]} prev=${words[cword-1]}; }
compopt() { :; }
source <(image-webhook completion bash)
COMP_WORDS=(image-webhook "$@") COMP_CWORD=$# COMP_LINE="image-webhook $*" COMP_TYPE=9 COMP_KEY=9
COMP_POINT=${#COMP_LINE}
complete -p image-webhook >/dev/null && __start_image-webhook
printf '%s\n' "${COMPREPLY[@]}"
`

func TestBashCompletesCommandsFlagsAndValues(t *testing.T) {
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "image-webhook")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		words []string // after image-webhook; bash completes the last one
		want  []string
	}{
		{"command", []string{"se"}, []string{"serve"}},
		{"shell", []string{"completion", "z"}, []string{"zsh"}},
		{"flag", []string{"serve", "--image"}, []string{"--image-pull-policy"}},
		{"fixed value", []string{"serve", "--image-pull-policy", "A"}, []string{"Always"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bash := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", completeInBash, "bash"}, tt.words...)...)
			bash.Env = append(os.Environ(), runAsProgram+"=1", "PATH="+bin+":"+os.Getenv("PATH"))
			bash.Stderr = os.Stderr
			got, err := bash.Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.Fields(string(got))); diff != "" {
				t.Errorf("completions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompletionOffersFilesOnlyForFileFlags(t *testing.T) {
	const files, noFiles = ":0\n", ":4\n"
	want := map[string]string{
		"tls-cert":          files,
		"tls-key":           files,
		"client-ca-file":    files,
		"config":            files,
		"image-pull-policy": "Always\n" + noFiles,
		"log-level":         "debug\ninfo\nwarn\nerror\n" + noFiles,
		"registry-mirrors":  noFiles,
		"disallowed-tags":   noFiles,
		"exempt-images":     noFiles,
		"metrics-addr":      noFiles,
		"log-format":        "text\njson\n:4\n",
		"log-changes":       noFiles,
		"server-addr":       noFiles,
	}
	got := map[string]string{}
	newServe().Flags().VisitAll(func(f *pflag.Flag) {
		got[f.Name] = runCommand(t, "__complete", "serve", "--"+f.Name, "").Stdout
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("completions by flag (-want +got):\n%s", diff)
	}
}

func TestCompletionPrintsAScriptForEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := runCommand(t, "completion", shell)
		if got.Code != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "__complete") {
			t.Errorf("%s: got exit code %d, %d bytes, stderr %q", shell, got.Code, len(got.Stdout), got.Stderr)
		}
	}
}
