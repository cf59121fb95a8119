package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// target is one fuzz target.
type target struct {
	pkg  string // argument of `go test`, such as ./webhook/image
	name string // the function, such as FuzzParse
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(`)

// findTargets returns the fuzz targets below the working directory, in the order of their paths.
func findTargets() ([]target, error) {
	var found []target
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declaration.FindAllSubmatch(source, -1) {
			found = append(found, target{pkg: "./" + filepath.ToSlash(filepath.Dir(path)), name: string(match[1])})
		}
		return err
	})
	if err == nil && len(found) == 0 {
		err = errors.New("no fuzz target in this directory: run the command at the top of the checkout")
	}
	if err != nil {
		return nil, fmt.Errorf("find fuzz targets: %w", err)
	}
	return found, nil
}
