package main

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected outputs")

// oddReferences are read in ways that surprise users.
var oddReferences = []string{
	"nginx",
	"index.docker.io/nginx:1.25.0",
	"localhost/app:1",
	"team/app:1-SNAPSHOT",
	"QUAY.IO:443/team/app:1-snapshot",
	"quay.io/prod/app:1",
	"busybox:latest@sha256:" + strings.Repeat("0", 64),
	"hub.example/library/busybox",
	"sha256:" + strings.Repeat("0", 64),
	"registry.example:5000/Team/app:1",
	"ghcr.io/other/app:1",
	"my_host/app:1",
	"1.25",
	"",
}

func TestExplainOddReferences(t *testing.T) {
	const golden = "testdata/explain.txt"
	got := runCommand(t, append([]string{"explain", "--config=testdata/policy.yaml"}, oddReferences...)...)
	if got.Code != 0 || got.Stderr != "" {
		t.Fatalf("got %+v", got)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.Stdout), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.Stdout); diff != "" {
		t.Errorf("output (-want +got): accept it with -update\n%s", diff)
	}
}

func TestExplainInJSON(t *testing.T) {
	var got struct{ Images []explanation }
	result := runCommand(t, "explain", "--config=testdata/policy.yaml", "-o", "json", "nginx", "Nginx")
	if err := json.Unmarshal([]byte(result.Stdout), &got); err != nil {
		t.Fatalf("%v:\n%s", err, result.Stdout)
	}
	want := []explanation{
		{
			Image: "nginx", Registry: "docker.io", Repository: "library/nginx", Stored: "hub.example/library/nginx", MirrorRule: "docker.io=hub.example",
			Violations: []explainedViolation{{"no_tag", "", `no tag means tag "latest", which is not allowed because its image can change`, "use a fixed tag such as nginx:1.2.3 or a digest (nginx@sha256:...)"}},
		},
		{
			Image: "Nginx", Stored: "Nginx",
			Violations: []explainedViolation{{"invalid_reference", "", "invalid reference (invalid reference format: repository name (library/Nginx) must be lowercase)", "use [REGISTRY/]NAME:TAG or [REGISTRY/]NAME@DIGEST"}},
		},
	}
	if diff := cmp.Diff(want, got.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}
