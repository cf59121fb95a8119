package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

const (
	// firstToken is a token of system:masters that is valid from the first request.
	firstToken = "first"
	// loadedLog is the log of the API server in its directory.
	loadedLog = "kube-apiserver.log"
)

// servingLog matches the API server's address in its log. It logs it before it accepts requests.
var servingLog = regexp.MustCompile(`Serving securely on (\S+)`)

// firstAnswers sends pods to an API server from the moment when it accepts connections.
type firstAnswers struct {
	address string
	client  http.Client
	before  map[string]int // the answers before the final one
}

// waitForAddress waits until the API server is about to accept requests.
func (f *firstAnswers) waitForAddress(ctx context.Context, log string) error {
	return wait.PollUntilContextTimeout(ctx, time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		content, _ := os.ReadFile(log) // does not exist yet
		if match := servingLog.FindSubmatch(content); match != nil {
			f.address = string(match[1])
		}
		return f.address != "", nil
	})
}

// create creates a pod again and again until the API server stores it or the policy denies it. It returns the
// stored image or the message.
func (f *firstAnswers) create(ctx context.Context, name, image string) (stored, message string, err error) {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
	body, err := json.Marshal(pod)
	if err != nil {
		return "", "", err
	}
	err = wait.PollUntilContextTimeout(ctx, time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		stored, message = f.send(ctx, body)
		done := stored != "" || strings.Contains(message, "ValidatingAdmissionPolicy")
		if !done {
			f.before[message]++
		}
		return done, nil
	})
	return stored, message, err
}

// send sends a pod once.
func (f *firstAnswers) send(ctx context.Context, body []byte) (stored, message string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.address+"/api/v1/namespaces/default/pods", bytes.NewReader(body))
	if err != nil {
		return "", err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+firstToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return "", "no answer"
	}
	defer response.Body.Close()
	var answer struct {
		Message string
		Spec    corev1.PodSpec
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Sprintf("%s: %v", response.Status, err)
	}
	if len(answer.Spec.Containers) > 0 {
		return answer.Spec.Containers[0].Image, ""
	}
	return "", answer.Message
}

func TestFirstPodOfAnAPIServerIsJudged(t *testing.T) {
	t.Parallel()
	s := &staticServer{files: filepath.Join(t.TempDir(), "static")}
	flags := staticFlags(t, s.files)
	s.writeFiles(t, staticPolicy)
	// The certificate is not known before the API server has created it.
	f := &firstAnswers{before: map[string]int{}, client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	var message, stored string
	done := make(chan error, 1)
	var err error
	s.testServer, err = startServer(func(dir string) (map[string][]string, error) {
		tokens := filepath.Join(dir, "tokens.csv")
		flags["token-auth-file"] = []string{tokens}
		go func() {
			err := f.waitForAddress(t.Context(), filepath.Join(dir, loadedLog))
			if err == nil {
				stored, message, err = f.create(t.Context(), "latest", "nginx:latest")
			}
			if err == nil && stored == "" {
				stored, _, err = f.create(t.Context(), "mirrored", "nginx:1.25")
			}
			done <- err
		}()
		return flags, os.WriteFile(tokens, []byte(firstToken+`,first,first,"system:masters"`+"\n"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	if err := <-done; err != nil {
		t.Fatal(err, f.before)
	}
	if want := `container "main" (spec.containers[0].image) uses image "nginx:latest"`; !strings.Contains(message, want) {
		t.Errorf("the first answer to nginx:latest is %q, want %q", message, want)
	}
	if want := "docker.mirror.example/library/nginx:1.25"; stored != want {
		t.Errorf("the first stored pod has the image %s, want %s", stored, want)
	}
	t.Log("answers before:", f.before)
}

// damage is something in the directory for validating policies that `kubectl image-webhook policy` does not
// write.
type damage struct {
	name string
	do   func(directory string) error
	// started is what the API server says if it does not start.
	started string
	// state is what it does with pods if it starts, and after a reload.
	startState, state string
}

const objectsFile = "image-webhook.yaml"

// putFile returns a damage that puts a complete file into the directory.
func putFile(name, content string) func(string) error {
	return func(directory string) error { return replace(filepath.Join(directory, name), content) }
}

// replace replaces a file by renaming a complete one.
func replace(path, content string) error {
	complete := filepath.Dir(path) + ".complete"
	if err := os.WriteFile(complete, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(complete, path)
}

var damages = []damage{
	{name: "the directory is empty", startState: "admits", state: "admits",
		do: func(directory string) error { return os.Remove(filepath.Join(directory, objectsFile)) }},
	{name: "the file is empty", startState: "admits", state: "admits", do: putFile(objectsFile, "")},
	{name: "the file has only a comment", started: "Kind", state: "judges", do: putFile(objectsFile, "# nothing\n")},
	{name: "the file ends early", started: "error loading", state: "judges", do: putFile(objectsFile, "apiVersion: v1\nitems:\n- {kind: Vali")},
	{name: "a file cannot be read", started: "failed to read file", state: "judges",
		do: func(directory string) error { return os.Symlink("missing", filepath.Join(directory, "other.yaml")) }},
	{name: "an object of another kind", started: "no kind", state: "judges",
		do: putFile("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other.static.k8s.io}\n")},
	{name: "a policy without the suffix", started: "must have a name ending with", state: "judges",
		do: putFile("other.yaml", foreignPolicy("other", "true"))},
	{name: "a policy with an invalid expression", started: "undeclared reference", state: "judges",
		do: putFile("other.yaml", foreignPolicy("other.static.k8s.io", "unknown"))},
	{name: "a policy of another program", startState: "judges", state: "judges",
		do: putFile("other.yaml", foreignPolicy("other.static.k8s.io", "true"))},
	{name: "a hidden file of another program", started: "no kind", state: "judges",
		do: putFile(".other.yaml", "apiVersion: v1\nkind: ConfigMap\n")},
	{name: "a file with another ending", startState: "judges", state: "judges", do: putFile("other.yaml.tmp", "apiVersion: v1\nkind: ConfigMap\n")},
	{name: "a directory below it", startState: "judges", state: "judges",
		do: func(directory string) error { return os.Mkdir(filepath.Join(directory, "below.yaml"), 0o700) }},
	{name: "the directory was moved away", started: "unable to read", state: "judges",
		do: func(directory string) error { return os.Rename(directory, directory+".moved") }},
}

// foreignPolicy returns a policy that this project did not write.
func foreignPolicy(name, expression string) string {
	return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %s}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: %q}]
`, name, expression)
}

// Each damage needs an API server of its own. TestReloadOfADamagedDirectory tries all of them.
func TestStartWithADamagedDirectory(t *testing.T) {
	t.Parallel()
	for i, d := range damages {
		if sampled() && i%3 != 0 {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := &staticServer{files: filepath.Join(t.TempDir(), "static")}
			flags := staticFlags(t, s.files)
			s.writeFiles(t, staticPolicy)
			if err := d.do(filepath.Join(s.files, "validating")); err != nil {
				t.Fatal(err)
			}
			var err error
			s.testServer, err = startServer(func(string) (map[string][]string, error) { return flags, nil })
			if err == nil {
				t.Cleanup(func() { stop(t, s) })
			}
			if started := err == nil; started != (d.started == "") {
				t.Fatalf("started: %t, want %q", started, d.started)
			}
			if err != nil {
				var output strings.Builder
				subprocess.Print(&output, "test", err)
				if !strings.Contains(output.String(), d.started) {
					t.Errorf("no %q in the output:\n%s", d.started, output.String())
				}
				return
			}
			s.waitForState(t, d.startState)
		})
	}
}
