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

// pullLimit bounds the attempt to pull kind's own node image: a network that
// swallows packets must not cost more than a fraction of building one.
const pullLimit = 90 * time.Second

// published are kind's own node images by minor version, as the notes of the release
// that go.mod names list them: https://github.com/kubernetes-sigs/kind/releases
var published = map[string]string{
	"1.37": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
	"1.36": "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed",
	"1.35": "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0",
}

// nodeImage is KIND_NODE_IMAGE if that is set; else kind's own for the version that
// K8S names, if the engine has it, or can pull it soon; else the image of package
// builder.
func (c *Cluster) nodeImage(ctx context.Context) (string, error) {
	if image := os.Getenv("KIND_NODE_IMAGE"); image != "" {
		c.report.Note("Using KIND_NODE_IMAGE.")
		return image, nil
	}
	version, err := kubebuild.FindFromEnvironment(c.root)
	if err != nil {
		return "", err
	}
	image, known := published[version.Minor]
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
	c.report.Note("Building the node image of Kubernetes %s from Go modules and Debian packages: about ten minutes, once.", version.Release)
	return nodeimage.Build(ctx, c.root, version, c.Engine, c.report)
}

// pull tries to pull a node image of kind's. That no registry gives it is no error:
// there is another way.
func (c *Cluster) pull(ctx context.Context, image string) (pulled bool, err error) {
	name, _, _ := strings.Cut(image, "@")
	err = c.report.Step("ask for kind's node image "+name, func(step *progress.Step) error {
		if pullErr := c.Engine.Pull(ctx, step, image, pullLimit); pullErr != nil {
			step.SetResult("no registry gives it")
			return ctx.Err()
		}
		pulled = true
		return nil
	})
	return pulled, err
}
