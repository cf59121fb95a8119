package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// head returns the first lines of an HTTP request, up to the empty line.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

const (
	hostHeader = "Host: webhook.image-webhook.svc"
	jsonHeader = "Content-Type: application/json"
)

// post returns a review for /validating. The headers replace the content type.
func post(body string, headers ...string) string {
	return postLine("POST /validating HTTP/1.1", body, headers...)
}

// postTo returns a review for a path.
func postTo(path, body string) string { return postLine("POST "+path+" HTTP/1.1", body) }

func postLine(line, body string, headers ...string) string {
	if len(headers) == 0 {
		headers = []string{jsonHeader}
	}
	length := fmt.Sprintf("Content-Length: %d", len(body))
	return head(append([]string{line, hostHeader, length}, headers...)...) + body
}

// postChunked returns a review for /validating with a chunked body.
func postChunked(chunks string, headers ...string) string {
	lines := []string{"POST /validating HTTP/1.1", hostHeader, jsonHeader, "Transfer-Encoding: chunked"}
	return head(append(lines, headers...)...) + chunks
}

// chunk returns a chunk of a body.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// announced returns the head of a review whose body has this size.
func announced(size string) string {
	return head("POST /validating HTTP/1.1", hostHeader, jsonHeader, "Content-Length: "+size)
}

const (
	uidField    = `"uid":"u"`
	podKind     = `"kind":{"group":"","version":"v1","kind":"Pod"}`
	creation    = `"operation":"CREATE"`
	objectField = `"object":{"spec":{"containers":[{"name":"app","image":"nginx:1.25"}]}}`
)

// review returns an AdmissionReview with the fields of its request.
func review(fields ...string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{` + strings.Join(fields, ",") + `}}`
}

// podCreation returns the review of a new pod with a container.
func podCreation(container string) string {
	return creationOf(`{"spec":{"containers":[` + container + `]}}`)
}

// creationOf returns the review of a new pod.
func creationOf(pod string) string { return review(uidField, podKind, creation, `"object":`+pod) }

// repeat writes a text n times.
func repeat(w io.Writer, text string, n int) error {
	block := bytes.Repeat([]byte(text), min(n, 1<<16))
	for n > 0 {
		times := min(n, 1<<16)
		if _, err := w.Write(block[:times*len(text)]); err != nil {
			return err
		}
		n -= times
	}
	return nil
}
