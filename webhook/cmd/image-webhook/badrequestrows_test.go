package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// badRequestGroup is a part of the table, with its heading.
type badRequestGroup struct {
	heading  string
	requests []badRequest
}

// badRequestGroups returns all bad requests.
func badRequestGroups() []badRequestGroup {
	return []badRequestGroup{
		{"Methods", methodRequests()},
		{"Paths", pathRequests()},
		{"HTTP versions", versionRequests()},
		{"TLS", tlsAttempts()},
		{"Headers", headerRequests()},
		{"Media types", mediaTypeRequests()},
		{"Sizes", sizeRequests()},
		{"JSON", jsonRequests()},
		{"Types of fields", fieldRequests()},
		{"AdmissionReviews", reviewRequests()},
		{"Other paths", otherPathRequests()},
	}
}

var goodBody = podCreation(`{"image":"nginx:1.25"}`)

func methodRequests() []badRequest {
	return []badRequest{
		{name: "`GET` of a path for reviews", sent: head("GET /validating HTTP/1.1", hostHeader)},
		{name: "`HEAD`, whose answer has no body", sent: head("HEAD /validating HTTP/1.1", hostHeader)},
		{name: "`PUT` with a review", sent: postLine("PUT /validating HTTP/1.1", goodBody)},
		{name: "`PUT` with 1 MiB that the server does not read", send: func(w io.Writer) error {
			if _, err := io.WriteString(w, head("PUT /validating HTTP/1.1", hostHeader, jsonHeader, "Content-Length: 1048576")); err != nil {
				return err
			}
			return repeat(w, " ", 1<<20)
		}, large: true},
		{name: "`post` in lower case", sent: postLine("post /validating HTTP/1.1", goodBody)},
		{name: "a method with a bracket", sent: postLine("P(ST /validating HTTP/1.1", goodBody)},
		{name: "`CONNECT` to another host", sent: head("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443")},
		{name: "`OPTIONS *`", sent: head("OPTIONS * HTTP/1.1", hostHeader)},
		{name: "`POST` to a probe", sent: postTo("/healthz", goodBody)},
	}
}

func pathRequests() []badRequest {
	return []badRequest{
		{name: "`/`", sent: postTo("/", goodBody)},
		{name: "a slash after the path", sent: postTo("/validating/", goodBody)},
		{name: "a path in another case", sent: postTo("/Validating", goodBody)},
		{name: "two slashes before the path", sent: postTo("//validating", goodBody)},
		{name: "`..` in the path", sent: postTo("/mutating/../validating", goodBody)},
		{name: "`..` before the root", sent: head("GET /../../etc/passwd HTTP/1.1", hostHeader)},
		{name: "an encoded letter in the path", sent: postTo("/%76alidating", goodBody)},
		{name: "an encoded NUL after the path", sent: postTo("/validating%00", goodBody)},
		{name: "an invalid encoding in the path", sent: postTo("/%zz", goodBody)},
		{name: "a URL of another host as path", sent: postTo("https://example.com/validating", goodBody)},
		{name: "a path without a slash", sent: postTo("validating", goodBody)},
		{name: "a path of 8 KiB", sent: postTo("/"+strings.Repeat("a", 8<<10), goodBody)},
		{name: "a path of 32 KiB", sent: postTo("/"+strings.Repeat("a", 32<<10), goodBody)},
	}
}

func versionRequests() []badRequest {
	return []badRequest{
		{name: "HTTP/0.9", sent: "GET /validating\r\n"},
		{name: "HTTP/1.0", sent: postLine("POST /validating HTTP/1.0", goodBody)},
		{name: "HTTP/1.2", sent: postLine("POST /validating HTTP/1.2", goodBody)},
		{name: "HTTP/2.0 in the first line", sent: postLine("POST /validating HTTP/2.0", goodBody)},
		{name: "the preface of HTTP/2", sent: http2Preface},
		{name: "a version that is not a number", sent: postLine("POST /validating HTTP/x", goodBody)},
		{name: "an upgrade to HTTP/2, which is ignored", sent: post(goodBody, jsonHeader, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")},
		{name: "text without HTTP", sent: head("hello")},
		{name: "HTTP without TLS", attempt: func(c *tcpConn) string { return c.withoutTLS(post(goodBody)) }},
		{name: "the preface of HTTP/2 without TLS", attempt: func(c *tcpConn) string { return c.withoutTLS(http2Preface) }},
	}
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func headerRequests() []badRequest {
	many := strings.Split(strings.Repeat("A: b\n", 8000), "\n")[:8000]
	return []badRequest{
		{name: "a header of 32 KiB", sent: post(goodBody, jsonHeader, "Authorization: Bearer "+strings.Repeat("x", 32<<10))},
		{name: "8000 headers", sent: post(goodBody, append(many, jsonHeader)...)},
		{name: "two different `Content-Length`", sent: post(goodBody, jsonHeader, "Content-Length: 1")},
		{name: "`Content-Length` twice with the same value", sent: post(goodBody, jsonHeader, fmt.Sprintf("Content-Length: %d", len(goodBody)))},
		{name: "`Content-Length` and `Transfer-Encoding: chunked`, which is used", sent: postChunked(chunk(goodBody)+chunk(""), "Content-Length: 5")},
		{name: "an unknown `Transfer-Encoding`", sent: post(goodBody, jsonHeader, "Transfer-Encoding: gzip")},
		{name: "a header name with a space", sent: post(goodBody, jsonHeader, "X Y: z")},
		{name: "a header without a colon", sent: post(goodBody, jsonHeader, "X")},
		{name: "a NUL byte in a header", sent: post(goodBody, jsonHeader, "X: \x00")},
		{name: "a header continued on the next line", sent: post(goodBody, "Content-Type:\r\n application/json")},
		{name: "no `Host`", sent: head("POST /validating HTTP/1.1", jsonHeader, fmt.Sprintf("Content-Length: %d", len(goodBody))) + goodBody},
		{name: "two `Host`", sent: post(goodBody, jsonHeader, "Host: example.com")},
		{name: "an invalid `Host`", sent: head("POST /validating HTTP/1.1", "Host: a b", jsonHeader, "Content-Length: 0")},
		{name: "`Expect: 100-continue` with another media type", sent: head("POST /validating HTTP/1.1", hostHeader, "Content-Type: text/plain", "Expect: 100-continue", "Content-Length: 100")},
		{name: "an unknown `Expect`", sent: post(goodBody, jsonHeader, "Expect: 200-ok")},
		{name: "`Content-Encoding: gzip`", sent: post(gzipped(goodBody), jsonHeader, "Content-Encoding: gzip")},
		{name: "a trailer, which is ignored", sent: postChunked(chunk(goodBody)+"0\r\nX-Digest: 1\r\n\r\n", "Trailer: X-Digest")},
		{name: "a trailer that must not be one", sent: postChunked(chunk(goodBody)+"0\r\nContent-Length: 1\r\n\r\n", "Trailer: Content-Length")},
		{name: "a chunk size that is not hexadecimal", sent: postChunked("xyz\r\n" + goodBody)},
		{name: "a chunk that is longer than its size", sent: postChunked("5\r\n" + goodBody + "\r\n0\r\n\r\n")},
		{name: "a chunk size of 17 digits", sent: postChunked("10000000000000000\r\n")},
	}
}

func gzipped(text string) string {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = io.WriteString(w, text) // a buffer accepts every write
	_ = w.Close()
	return compressed.String()
}

func mediaTypeRequests() []badRequest {
	return []badRequest{
		{name: "no `Content-Type`", sent: post(goodBody, "Accept: application/json")},
		{name: "protobuf", sent: post("k8s\x00", "Content-Type: application/vnd.kubernetes.protobuf")},
		{name: "YAML", sent: post("kind: AdmissionReview\n", "Content-Type: application/yaml")},
		{name: "JSON with a charset", sent: post(goodBody, "Content-Type: application/json; charset=utf-8")},
		{name: "JSON in upper case", sent: post(goodBody, "Content-Type: APPLICATION/JSON")},
		{name: "JSON with an invalid parameter", sent: post(goodBody, "Content-Type: application/json; charset")},
		{name: "a list of types", sent: post(goodBody, "Content-Type: application/json, application/yaml")},
		{name: "two headers; the first one is used", sent: post(goodBody, jsonHeader, "Content-Type: application/yaml")},
	}
}

const mebibyte = 1 << 20

func sizeRequests() []badRequest {
	return []badRequest{
		{name: "an empty body", sent: post("")},
		{name: "no `Content-Length`", sent: head("POST /validating HTTP/1.1", hostHeader, jsonHeader)},
		{name: "a negative `Content-Length`", sent: announced("-1")},
		{name: "a `Content-Length` of more than 64 bits", sent: announced("99999999999999999999")},
		{name: "a `Content-Length` that is not a number", sent: announced("1e3")},
		{name: "a body that is shorter than announced; then the client closes its side", sent: announced("1000") + goodBody, halfClose: true},
		{name: "a body that is longer than announced", sent: post(goodBody) + "{}\r\n\r\n", answers: 2},
		{name: "30 MiB", send: spacesBefore(goodBody, 30*mebibyte), large: true},
		{name: "30 MiB and one byte", send: spacesBefore(goodBody, 30*mebibyte+1), large: true},
		{name: "30 MiB and one byte in chunks", send: chunksOfSpaces(30*mebibyte + 1), large: true},
		{name: "a pod with a million volumes", send: func(w io.Writer) error {
			_, err := io.WriteString(w, post(creationOf(`{"spec":{"volumes":[`+strings.Repeat("{},", mebibyte)+`{}]}}`)))
			return err
		}, large: true},
	}
}

// spacesBefore sends a body of a size that ends with a review.
func spacesBefore(review string, size int) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := io.WriteString(w, announced(fmt.Sprint(size))); err != nil {
			return err
		}
		if err := repeat(w, " ", size-len(review)); err != nil {
			return err
		}
		_, err := io.WriteString(w, review)
		return err
	}
}

// chunksOfSpaces sends a chunked body of spaces.
func chunksOfSpaces(size int) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s%x\r\n", postChunked(""), size); err != nil {
			return err
		}
		if err := repeat(w, " ", size); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\r\n0\r\n\r\n")
		return err
	}
}

func jsonRequests() []badRequest {
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	return []badRequest{
		{name: "text", sent: post("hello")},
		{name: "a truncated review", sent: post(goodBody[:len(goodBody)-1])},
		{name: "a second review after the review", sent: post(goodBody + goodBody)},
		{name: "a list with a review", sent: post("[" + goodBody + "]")},
		{name: "`null`", sent: post("null")},
		{name: "a review in UTF-16", sent: post(inUTF16(goodBody))},
		{name: "a byte order mark", sent: post("\ufeff" + goodBody)},
		{name: "a NUL byte after the review", sent: post(goodBody + "\x00")},
		{name: "a NUL byte in an image", sent: post(podCreation("{\"image\":\"nginx:1.25\x00\"}"))},
		{name: "an escaped NUL in an image", sent: post(podCreation(`{"image":"nginx:1.25\u0000"}`))},
		{name: "bytes that are not UTF-8 in an image", sent: post(podCreation("{\"image\":\"nginx:1.25\xff\"}"))},
		{name: "201 levels in a field that is skipped", sent: post(creationOf(`{"status":` + deep(201) + `}`))},
		{name: "10,000 levels without an end", sent: post(strings.Repeat(`{"a":`, 10_000))},
		{name: "a number of 100 digits in a field that is skipped", sent: post(creationOf(`{"status":` + strings.Repeat("9", 100) + `}`))},
		{name: "the number `1e999999` in a field that is skipped", sent: post(creationOf(`{"status":1e999999}`))},
		{name: "a number that begins with 0", sent: post(creationOf(`{"status":01}`))},
		{name: "`NaN`", sent: post(creationOf(`{"status":NaN}`))},
		{name: "a comment", sent: post("// review\n" + goodBody)},
		{name: "single quotes", sent: post(`{'kind':'AdmissionReview'}`)},
		{name: "a comma before a bracket", sent: post(podCreation(`{"image":"nginx:1.25",}`))},
	}
}

// inUTF16 encodes a text with a byte order mark.
func inUTF16(text string) string {
	encoded := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = append(encoded, byte(unit), byte(unit>>8))
	}
	return string(encoded)
}

func fieldRequests() []badRequest {
	return []badRequest{
		{name: "a number as `kind` of the review", sent: post(strings.Replace(goodBody, `"AdmissionReview"`, "7", 1))},
		{name: "a number as `uid` before `kind` of the review", sent: post(`{"request":{"uid":7},"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`)},
		{name: "a list as `request`", sent: post(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":[]}`)},
		{name: "a number as `uid`", sent: post(review(`"uid":7`, podKind, creation, objectField))},
		{name: "a string as `kind` of the request", sent: post(review(uidField, `"kind":"Pod"`, creation, objectField))},
		{name: "a list as `operation`", sent: post(review(uidField, podKind, `"operation":["CREATE"]`, objectField))},
		{name: "an object as `namespace`", sent: post(review(uidField, podKind, creation, `"namespace":{}`, objectField))},
		{name: "a list as `object`", sent: post(creationOf(`[]`))},
		{name: "a string as `oldObject`", sent: post(review(uidField, podKind, `"operation":"UPDATE"`, objectField, `"oldObject":"x"`))},
		{name: "`true` as `metadata.name`", sent: post(creationOf(`{"metadata":{"name":true}}`))},
		{name: "an object as `containers`", sent: post(creationOf(`{"spec":{"containers":{}}}`))},
		{name: "a string as container", sent: post(podCreation(`"nginx:1.25"`))},
		{name: "`null` as container", sent: post(podCreation(`null`))},
		{name: "a number as `image`", sent: post(podCreation(`{"image":7}`))},
		{name: "a string as `image` of a volume", sent: post(creationOf(`{"spec":{"volumes":[{"image":"x"}]}}`))},
		{name: "`image` twice", sent: post(podCreation(`{"image":"nginx:1.25","image":"nginx:latest"}`))},
		{name: "`request` twice", sent: post(strings.Replace(goodBody, `"request"`, `"request":{"uid":"v"},"request"`, 1))},
		{name: "`Object` instead of `object`", sent: post(strings.Replace(goodBody, `"object"`, `"Object"`, 1))},
	}
}

func reviewRequests() []badRequest {
	withUID := func(uid string) string { return post(review(`"uid":"`+uid+`"`, podKind, creation, objectField)) }
	withKind := func(kind string) string { return post(review(uidField, `"kind":`+kind, creation, objectField)) }
	withPod := func(fields ...string) string { return post(review(append(fields, uidField, podKind)...)) }
	return []badRequest{
		{name: "`admission.k8s.io/v1beta1`", sent: post(strings.Replace(goodBody, "io/v1", "io/v1beta1", 1))},
		{name: "an unknown version", sent: post(strings.Replace(goodBody, "io/v1", "io/v2", 1))},
		{name: "a pod instead of a review", sent: post(`{"apiVersion":"v1","kind":"Pod"}`)},
		{name: "no `request`", sent: post(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`)},
		{name: "`null` as `request`", sent: post(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`)},
		{name: "no `uid`", sent: post(review(podKind, creation, objectField))},
		{name: "an empty `uid`", sent: withUID("")},
		{name: "a `uid` of 10 KB, which the answer repeats", sent: withUID(strings.Repeat("x", 10_000))},
		{name: "a `uid` with escapes, which the answer repeats", sent: withUID(`\"\\\u0001\u202e`)},
		{name: "the operation `DELETE`", sent: withPod(`"operation":"DELETE"`, `"object":null`, `"oldObject":{}`)},
		{name: "the operation `CONNECT`", sent: withPod(`"operation":"CONNECT"`, `"object":{"kind":"PodExecOptions"}`)},
		{name: "an operation in lower case", sent: withPod(`"operation":"create"`, objectField)},
		{name: "no `operation`", sent: withPod(objectField)},
		{name: "a kind without pods", sent: withKind(`{"group":"","version":"v1","kind":"Service"}`)},
		{name: "a pod of another group", sent: withKind(`{"group":"metrics.k8s.io","version":"v1","kind":"Pod"}`)},
		{name: "a Deployment of an old version", sent: withKind(`{"group":"apps","version":"v1beta1","kind":"Deployment"}`)},
		{name: "a kind with control characters", sent: withKind(`{"group":"","version":"v1","kind":"Pod\n\u001b[2J"}`)},
		{name: "no `kind` in the request", sent: post(review(uidField, creation, objectField))},
		{name: "the subresource `exec`", sent: withPod(creation, `"subResource":"exec"`, objectField)},
		{name: "the subresource `binding`", sent: withPod(creation, `"subResource":"binding"`, `"object":{"kind":"Binding"}`)},
		{name: "no `object`", sent: withPod(creation)},
		{name: "`null` as `object`", sent: withPod(creation, `"object":null`)},
		{name: "a namespace with control characters", sent: withPod(creation, `"namespace":"a\n\u001b[2J"`, `"object":{"spec":{"containers":[{"name":"app","image":"nginx"}]}}`)},
	}
}

func otherPathRequests() []badRequest {
	const imageReview = `{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview"`
	namespace := func(fields ...string) string {
		return review(append(fields, uidField, `"kind":{"group":"","version":"v1","kind":"Namespace"}`)...)
	}
	return []badRequest{
		{name: "an ImageReview at `/validating`", sent: post(imageReview + `}`)},
		{name: "an AdmissionReview at `/image-policy`", sent: postTo("/image-policy", goodBody)},
		{name: "an ImageReview without `spec` at `/image-policy`", sent: postTo("/image-policy", imageReview+`}`)},
		{name: "an object as `containers` at `/image-policy`", sent: postTo("/image-policy", imageReview+`,"spec":{"containers":{}}}`)},
		{name: "`image` twice at `/image-policy`", sent: postTo("/image-policy", imageReview+`,"spec":{"containers":[{"image":"a:1","image":"b"}]}}`)},
		{name: "a pod at `/namespace-owner`", sent: postTo("/namespace-owner", goodBody)},
		{name: "an update at `/namespace-owner`", sent: postTo("/namespace-owner", namespace(`"operation":"UPDATE"`, `"object":{}`))},
		{name: "a list as `labels` at `/namespace-owner`", sent: postTo("/namespace-owner", namespace(creation, `"object":{"metadata":{"labels":[]}}`))},
		{name: "no `userInfo` at `/namespace-owner`", sent: postTo("/namespace-owner", namespace(creation, `"object":{}`))},
		{name: "`null` as `object` at `/namespace-owner/chosen`", sent: postTo("/namespace-owner/chosen", namespace(creation, `"object":null`))},
	}
}
