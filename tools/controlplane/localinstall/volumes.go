package localinstall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UpdateVolumes writes the current Secrets and ConfigMaps to the files of the volumes. A kubelet
// does this from time to time.
func (i *Installation) UpdateVolumes(ctx context.Context) (err error) {
	for _, d := range i.deployments {
		_, failed := i.mountVolumes(ctx, d)
		err = errors.Join(err, failed)
	}
	return err
}

// mountVolumes writes the volumes of a Deployment to directories of this machine, like a
// kubelet. It returns the container's arguments with these directories.
func (i *Installation) mountVolumes(ctx context.Context, d *deployment) (args []string, err error) {
	args = d.container().Args
	for _, volume := range d.pod().Volumes {
		files, err := i.volumeFiles(ctx, d.Namespace, volume)
		if err != nil {
			return nil, fmt.Errorf("mount volume %q: %w", volume.Name, err)
		}
		dir := filepath.Join(i.Server.Dir, "volumes", d.Name, volume.Name)
		if err := writeFiles(dir, files); err != nil {
			return nil, err
		}
		for _, mount := range d.container().VolumeMounts {
			if mount.Name == volume.Name {
				args = relocate(args, mount.MountPath, dir)
			}
		}
	}
	return args, nil
}

// volumeFiles returns the files of a volume by name.
func (i *Installation) volumeFiles(ctx context.Context, namespace string, volume corev1.Volume) (map[string][]byte, error) {
	switch {
	case volume.Secret != nil:
		secret, err := i.client.CoreV1().Secrets(namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return selectItems(secret.Data, volume.Secret.Items), nil
	case volume.ConfigMap != nil:
		configMap, err := i.client.CoreV1().ConfigMaps(namespace).Get(ctx, volume.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return selectItems(configMap.Data, volume.ConfigMap.Items), nil
	}
	return nil, errors.New("its type is not supported: use a Secret or a ConfigMap")
}

// selectItems returns the contents of items by file name, or all contents if there are no items.
func selectItems[T ~string | ~[]byte](data map[string]T, items []corev1.KeyToPath) map[string][]byte {
	files := map[string][]byte{}
	for _, item := range items {
		files[item.Path] = []byte(data[item.Key])
	}
	if len(items) > 0 {
		return files
	}
	for key, content := range data {
		files[key] = []byte(content)
	}
	return files
}

// writeFiles replaces the files in a directory. A reader sees each file either before or after
// the change.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := renameio.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	present, err := os.ReadDir(dir)
	for _, entry := range present {
		if _, ok := files[entry.Name()]; !ok {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// relocate replaces a directory in flags that name it or a file below it.
func relocate(args []string, oldDir, newDir string) (relocated []string) {
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if below, found := strings.CutPrefix(path+"/", oldDir+"/"); ok && found {
			arg = name + "=" + filepath.Join(newDir, below)
		}
		relocated = append(relocated, arg)
	}
	return relocated
}
