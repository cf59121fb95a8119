package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// badRequest is a request that the server refuses, or an unusual one that it answers. Exactly
// one of sent, send and attempt is set.
type badRequest struct {
	name string // in Markdown

	sent      string                  // the bytes of the request, sent over TLS
	send      func(io.Writer) error   // instead of sent, for a request that is too large to keep
	attempt   func(c *tcpConn) string // instead of sent, without a request over TLS; returns the answer
	answers   int                     // how many answers the client reads; 0: one
	halfClose bool                    // the client closes its side after the request
	large     bool                    // takes too long to be repeated
}

// outcome is what the client of a bad request gets.
type outcome struct {
	answer string // the status and the first line of the body, or how the connection ends
	open   bool   // whether the connection answers another review
}

// goodReview is the review that shows whether a connection is still usable.
var goodReview = post(podCreation(`{"image":"nginx:1.25"}`))

const (
	allowedAnswer    = "200 allowed"
	closedConnection = "no answer"
)

// outcomeOf sends a bad request on a new connection and returns what the client gets.
func outcomeOf(t *testing.T, addr string, config *tls.Config, r badRequest) outcome {
	t.Helper()
	client := newTLSClient(t, addr, config)
	defer client.close()
	answer := client.request(r)
	isReview := r.attempt != nil && answer == allowedAnswer // of an attempt, which ends with a review
	return outcome{answer, isReview || client.isOpen()}
}

// connectionEnd describes a connection that ends without an answer.
func connectionEnd(err error) string {
	if alert, ok := strings.CutPrefix(err.Error(), "remote error: tls: "); ok {
		return "TLS alert: " + alert
	}
	return closedConnection
}

// describeAnswer returns the status and the first line of an answer, or the verdict of a
// review.
func describeAnswer(resp *http.Response, body []byte) string {
	status := strconv.Itoa(resp.StatusCode)
	if verdict, ok := describeReview(body); ok {
		return status + " " + verdict
	}
	line, _, _ := strings.Cut(string(body), "\n")
	if line = strings.TrimPrefix(line, status+" "); line == "" {
		line = http.StatusText(resp.StatusCode)
	}
	return status + " " + clipped(line, 240)
}

// describeReview describes the answer to an AdmissionReview or an ImageReview.
func describeReview(body []byte) (verdict string, ok bool) {
	var review struct {
		Response *struct {
			UID     string
			Allowed bool
			Status  struct{ Message string }
		}
		Status *struct {
			Allowed bool
			Reason  string
		}
	}
	switch err := json.Unmarshal(body, &review); {
	case err != nil:
		return "", false
	case review.Response != nil:
		verdict = describeVerdict(review.Response.Allowed, review.Response.Status.Message)
		if uid := review.Response.UID; uid != "u" {
			verdict += ", uid " + clipped(strconv.QuoteToASCII(uid), 40)
		}
		return verdict, true
	case review.Status != nil:
		return describeVerdict(review.Status.Allowed, review.Status.Reason), true
	}
	return "", false
}

func describeVerdict(allowed bool, reason string) string {
	if allowed {
		return "allowed"
	}
	return "denied: " + clipped(reason, 120)
}

// clipped returns at most n bytes of a text, followed by dots if it is longer.
func clipped(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n] + "..."
}
