package askmirrors

import (
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// keychain has the credentials of Docker or Podman. It asks for those of a registry once, because a
// credential helper is a process, and there can be thousands of images.
type keychain struct {
	mu         sync.Mutex
	registries map[name.Registry]credentials
}

// credentials are the answer of the keychain of Docker or Podman.
type credentials struct {
	auth authn.Authenticator // authn.Anonymous: there are none
	err  error
}

// registry returns the credentials for a registry.
func (k *keychain) registry(registry name.Registry) (authn.Authenticator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.registries[registry]
	if !ok {
		found.auth, found.err = resolve(registry)
		if k.registries == nil {
			k.registries = map[name.Registry]credentials{}
		}
		k.registries[registry] = found
	}
	return found.auth, found.err
}

// resolve returns the credentials for a registry, or for a repository.
func resolve(target authn.Resource) (authn.Authenticator, error) {
	auth, err := authn.DefaultKeychain.Resolve(target)
	if err != nil {
		return nil, credentialsError{err}
	}
	return auth, nil
}

// credentialsError is an error of the file or program that has the credentials.
type credentialsError struct{ err error }

func (e credentialsError) Error() string { return e.err.Error() }
func (e credentialsError) Unwrap() error { return e.err }
