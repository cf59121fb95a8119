package main

import (
	"testing"

	"github.com/image-webhook/image-webhook/tools/cli/clitest"
)

func TestExamples(t *testing.T) {
	clitest.Examples(t, newRoot, "go run ./tools/nodeimage")
}
