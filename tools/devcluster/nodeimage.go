package devcluster

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/nodeimage"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// pullLimit is the time limit for pulling kind's node image. In a network that drops packets,
// it must be much shorter than a build.
const pullLimit = 90 * time.Second

// kindNodeImages are kind's node images by minor version. They are copied from the release
// notes of the kind version in go.mod: https://github.com/kubernetes-sigs/kind/releases
var kindNodeImages = map[string]string{
	"1.37": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
	"1.36": "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed",
	"1.35": "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0",
}

// nodeImage returns KIND_NODE_IMAGE if it is set; else kind's image for the version that K8S
// names, if the engine has it or can pull it within pullLimit; else the image that package
// nodeimage builds.
func (c *Cluster) nodeImage(ctx context.Context) (string, error) {
	if image := os.Getenv("KIND_NODE_IMAGE"); image != "" {
		c.report.Note("Using the node image in KIND_NODE_IMAGE.")
		return image, nil
	}
	version, err := kubebuild.FindFromEnvironment(c.root)
	if err != nil {
		return "", err
	}
	image, known := kindNodeImages[version.Minor]
	if known && c.Engine.HasImage(ctx, image) {
		return image, nil
	}
	built, found, err := nodeimage.Find(ctx, c.root, version, c.Engine)
	if err != nil || found {
		return built, err
	}
	if known {
		if pulled, err := c.pull(ctx, image); err != nil || pulled {
			return image, err
		}
	}
	c.report.Note("Building the node image of Kubernetes %s from Go modules and Debian packages. The first build takes about ten minutes.", version.Release)
	return nodeimage.Build(ctx, c.root, version, c.Engine, c.report)
}

// pull tries to pull one of kind's node images. A failed pull is not an error, because the
// image can be built instead.
func (c *Cluster) pull(ctx context.Context, image string) (pulled bool, err error) {
	name, _, _ := strings.Cut(image, "@")
	err = c.report.Step("pull kind's node image "+name, func(step *progress.Step) error {
		if pullErr := c.Engine.Pull(ctx, step, image, pullLimit); pullErr != nil {
			step.SetResult("not available")
			return ctx.Err()
		}
		pulled = true
		return nil
	})
	return pulled, err
}
