package askmirrors

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// outcome is what the answer of a mirror means.
type outcome struct {
	missing bool
	failed  bool  // the mirror does not work: the answer is not about the image
	err     error // names the mirror, not the image, so that the errors of a mirror are equal
}

// isIncomplete reports whether a mirror answered, but without the headers that the client requires. Some
// registries answer so to HEAD.
func isIncomplete(err error) bool {
	return !errors.As(err, new(*transport.Error)) && !isConnection(err)
}

// isRefusal reports whether a mirror requires other credentials.
func isRefusal(err error) bool {
	answer := new(transport.Error)
	return errors.As(err, &answer) && refuses(answer)
}

// isConnection reports whether a request had no answer.
func isConnection(err error) bool {
	return errors.As(err, new(*url.Error)) || errors.As(err, new(net.Error))
}

func refuses(answer *transport.Error) bool {
	return answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
}

// evaluate returns the outcome of asking a mirror.
func evaluate(registry string, timeout time.Duration, err error) outcome {
	if err == nil {
		return outcome{}
	}
	var o outcome
	var message string
	if answer := new(transport.Error); errors.As(err, &answer) && !isCertificate(err) {
		o, message = evaluateAnswer(registry, answer)
	} else {
		o.failed, message = isConnection(err), explain(registry, timeout, err)
	}
	if !o.missing {
		o.err = fmt.Errorf("mirror %q: %s", registry, message)
	}
	return o
}

// evaluateAnswer returns the outcome of an answer other than success, and what it means.
func evaluateAnswer(registry string, answer *transport.Error) (outcome, string) {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
	aboutImage := answer.Request != nil && answer.Request.Method == http.MethodHead
	switch {
	case answer.StatusCode == http.StatusNotFound && (aboutImage || saysUnknown(answer)):
		return outcome{missing: true}, ""
	case refuses(answer):
		return outcome{}, status + ": run docker login " + registry + ", or check that the repository exists: " +
			"many registries answer the same for a repository that does not exist"
	case answer.StatusCode == http.StatusTooManyRequests:
		return outcome{failed: true}, status + ": try again later, or run docker login " + registry
	case answer.StatusCode >= http.StatusInternalServerError:
		return outcome{failed: true}, status + ": try again later"
	}
	return outcome{failed: true}, status + ": it does not answer like a registry: check the mirror rule"
}

// saysUnknown reports whether a registry answered that there is no such image. Other servers have no such
// codes.
func saysUnknown(answer *transport.Error) bool {
	for _, diagnostic := range answer.Errors {
		if diagnostic.Code == transport.ManifestUnknownErrorCode || diagnostic.Code == transport.NameUnknownErrorCode {
			return true
		}
	}
	return false
}

// isCertificate reports whether the certificate of a mirror is the cause. A local mirror has then also
// answered to plain HTTP, which says nothing.
func isCertificate(err error) bool {
	return errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError))
}

// explain returns the cause of an error other than an answer, and what to do about it.
func explain(registry string, timeout time.Duration, err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, new(credentialsError)):
		return cause(err) + ": check the credentials of Docker or Podman, or run docker login " + registry
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s: check the network and the mirror", timeout)
	case errors.As(err, &dns):
		return dns.Err + ": check the name of the mirror and the DNS server"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "its certificate is signed by an unknown authority: add the CA certificate to this machine, or set SSL_CERT_FILE"
	case isCertificate(err):
		return cause(err) + ": replace the certificate of the mirror"
	case errors.Is(err, io.EOF):
		return "it closed the connection: check the mirror"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not use TLS: enable TLS on the mirror"
	case isConnection(err):
		return cause(err) + ": check the network and the mirror"
	}
	return cause(err)
}

// cause returns an error without the request and the addresses, which are different for each image.
func cause(err error) string {
	if network := new(net.OpError); errors.As(err, &network) {
		return network.Err.Error()
	}
	if request := new(url.Error); errors.As(err, &request) {
		return request.Err.Error()
	}
	return err.Error()
}
