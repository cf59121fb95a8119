package askmirrors

import (
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
)

// keychain has the credentials of Docker or Podman. It asks for those of a registry once, because a
// credential helper is a process, and there can be thousands of images.
type keychain struct {
	mu         sync.Mutex
	registries map[string]authn.Authenticator
}

// registryName is a registry as a resource, without a repository.
type registryName string

func (r registryName) String() string      { return string(r) }
func (r registryName) RegistryStr() string { return string(r) }

// Resolve returns the credentials for a repository: those of its registry, otherwise its own.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	found, err := k.resolveRegistry(target.RegistryStr())
	if err != nil || found != authn.Anonymous {
		return found, err
	}
	return authn.DefaultKeychain.Resolve(target)
}

func (k *keychain) resolveRegistry(host string) (authn.Authenticator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.registries[host]; found != nil {
		return found, nil
	}
	found, err := authn.DefaultKeychain.Resolve(registryName(host))
	if err != nil {
		return nil, credentialsError{err}
	}
	if k.registries == nil {
		k.registries = map[string]authn.Authenticator{}
	}
	k.registries[host] = found
	return found, nil
}

// credentialsError is an error of the file or program that has the credentials.
type credentialsError struct{ err error }

func (e credentialsError) Error() string { return e.err.Error() }
func (e credentialsError) Unwrap() error { return e.err }
