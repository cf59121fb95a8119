package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/hoststoml"
)

// hostsTOMLUsage is the description of --hosts-toml.
const hostsTOMLUsage = "write the mirrors as files for containerd on nodes into this\n`directory`: REGISTRY/hosts.toml"

// hostsTOMLNote is what users of --hosts-toml must know, because the files look complete.
const hostsTOMLNote = "note: the files have only the mirrors; the other rules of the policy need the webhook, " +
	"and pods keep the images that users write"

// writeHostsTOML writes the mirrors into a directory, and prints the paths of the files.
func writeHostsTOML(rules *admission.Rules, directory string, stdout, stderr io.Writer) error {
	files, err := hoststoml.Files(rules.Changes.Mirrors, rules.Version)
	if err == nil {
		err = hoststoml.Write(directory, files)
	}
	if err != nil {
		return fmt.Errorf("--hosts-toml: %w", err)
	}
	for _, file := range files {
		fmt.Fprintln(stdout, "wrote", filepath.Join(directory, filepath.FromSlash(file.Path())))
	}
	_, err = fmt.Fprintln(stderr, hostsTOMLNote)
	return err
}
