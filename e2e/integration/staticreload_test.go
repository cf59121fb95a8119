package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// reloads returns how often the API server has loaded the directory for validating policies with a status,
// success or failure.
func (s *testServer) reloads(t *testing.T, status string) int {
	t.Helper()
	text, err := s.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(`apiserver_manifest_admission_config_controller_automatic_reloads_total\{[^}]*plugin="ValidatingAdmissionPolicy",status="` + status + `"\} (\d+)`)
	match := pattern.FindSubmatch(text)
	if match == nil {
		return 0
	}
	count, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// waitForFailure waits until the API server has failed to load the directory more often than before.
func (s *testServer) waitForFailure(t *testing.T, before int) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true, func(context.Context) (bool, error) {
		return s.reloads(t, "failure") > before, nil
	})
	if err != nil {
		t.Fatal("the API server does not load the directory again:", err)
	}
}

func TestReloadOfADamagedDirectory(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	directory := filepath.Join(s.files, "validating")
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			s.waitForState(t, "judges")
			before := s.reloads(t, "failure")
			if err := d.do(directory); err != nil {
				t.Fatal(err)
			}
			if d.started != "" { // what prevents the start also prevents the reload
				s.waitForFailure(t, before)
			}
			s.waitForState(t, d.state)
			s.repair(t, directory)
		})
	}
}

// repair removes everything from the directory, which may not exist, and writes the files again. An API server
// loads a directory that was created again only after up to a minute.
func (s *staticServer) repair(t *testing.T, directory string) {
	t.Helper()
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(directory, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	s.writeFiles(t, staticPolicy)
}

func TestFileWrittenInPlaceSwitchesTheRulesOff(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	s.waitForState(t, "judges")
	path := filepath.Join(s.files, "validating", objectsFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s.waitForState(t, "admits")
	before := s.reloads(t, "failure")
	if _, err := file.Write(content[:len(content)/2]); err != nil {
		t.Fatal(err)
	}
	s.waitForFailure(t, before)
	if got := s.state(t.Context()); got != "admits" {
		t.Errorf("with half of the file, the API server %s, want it to admit like with the empty one", got)
	}
	if _, err := file.Write(content[len(content)/2:]); err != nil {
		t.Fatal(err)
	}
	s.waitForState(t, "judges")
}

func TestReplacedFilesNeverSwitchTheRulesOff(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	s.waitForState(t, "judges")
	before := s.reloads(t, "success")
	ctx, stopChecking := context.WithCancel(t.Context())
	checked := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			got := s.state(t.Context())
			if got != "judges" || ctx.Err() != nil {
				checked <- checkState(got, n)
				return
			}
		}
	}()
	const changes = 8
	for i := range changes {
		s.writeFiles(t, staticPolicy+fmt.Sprintf("disallowedTags: [latest, other-%d]\n", i))
		s.waitForLoads(t, before+i+1)
	}
	stopChecking()
	if err := <-checked; err != nil {
		t.Error(err)
	}
	if failures := s.reloads(t, "failure"); failures > 0 {
		t.Errorf("the API server failed to load the directory %d times", failures)
	}
}

// checkState returns an error unless the API server judged pods in several checks.
func checkState(got string, checks int) error {
	if got != "judges" || checks < 20 {
		return fmt.Errorf("after %d checks, the API server %s", checks, got)
	}
	return nil
}

// waitForLoads waits until the API server has loaded the directory this often.
func (s *testServer) waitForLoads(t *testing.T, loads int) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true, func(context.Context) (bool, error) {
		return s.reloads(t, "success") >= loads, nil
	})
	if err != nil {
		t.Fatalf("the API server has not loaded the directory %d times: %v", loads, err)
	}
}

func TestAPIDoesNotHaveStaticObjects(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	s.waitForState(t, "judges")
	for _, resource := range []string{"validatingadmissionpolicies", "mutatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicybindings"} {
		client := s.client.Discovery().RESTClient()
		path := "/apis/admissionregistration.k8s.io/v1/" + resource
		list, err := client.Get().AbsPath(path).DoRaw(t.Context())
		if err != nil || strings.Contains(string(list), "static.k8s.io") {
			t.Errorf("%s: %v, %s", resource, err, list)
		}
		err = client.Delete().AbsPath(path + "/image-webhook.static.k8s.io").Do(t.Context()).Error()
		if err == nil || !strings.HasSuffix(err.Error(), "not found") {
			t.Errorf("deleting from %s: %v", resource, err)
		}
	}
}
