package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// requestPage is the page with the answers to bad requests.
const requestPage = "../../../docs/requests.md"

func TestPageHasTheAnswersToBadRequests(t *testing.T) {
	s := startServe(t)
	s.waitUntilServing(t)
	logged := make(chan []string, 1)
	go func() { logged <- collect(s.log) }()
	patient := startPatientServer(t)
	content := answersToRequests(t, s, patient) + answersToSlowClients(t, patient)
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	checkLog(t, <-logged)
	compareSection(t, requestPage, "answers", content)
}

// collect returns all lines of a log.
func collect(log *bufio.Scanner) (lines []string) {
	for log.Scan() {
		lines = append(lines, log.Text())
	}
	return lines
}

// answersToRequests returns the tables of all requests that do not depend on time. The patient
// server answers the large ones, which can take longer than a real server waits.
func answersToRequests(t *testing.T, s *servingProgram, patient *patientServer) string {
	t.Helper()
	config := clientConfig(t, s.pair)
	var text strings.Builder
	for _, group := range badRequestGroups() {
		fmt.Fprintf(&text, "\n## %s\n\n%s", group.heading, answerTableTop)
		for _, r := range group.requests {
			if r.large {
				writeAnswerRow(&text, r.name, outcomeOf(t, patient.addr, patient.config, r))
				<-patient.accepted
			} else {
				writeAnswerRow(&text, r.name, outcomeOf(t, s.addr, config, r))
			}
		}
	}
	return text.String()
}

// answersToSlowClients returns the table of the clients that stop.
func answersToSlowClients(t *testing.T, s *patientServer) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("\n## Slow clients\n\nThese clients send the start of something, or a whole review, and then wait.\n\n" + answerTableTop)
	for _, r := range slowRequests() {
		answer := s.request(t, r)
		writeAnswerRow(&text, r.name, outcome{answer, answer == waitsForever})
	}
	return text.String()
}

const answerTableTop = "| request | answer | connection |\n| --- | --- | --- |\n"

func writeAnswerRow(text *strings.Builder, name string, seen outcome) {
	answer, connection := seen.answer, "closed"
	if unicode.IsDigit(rune(answer[0])) {
		answer = "`" + answer + "`"
	}
	if seen.open {
		connection = "open"
	}
	fmt.Fprintf(text, "| %s | %s | %s |\n", name, strings.ReplaceAll(answer, "|", `\|`), connection)
}

// maxLogLine is the maximum size of a log line in bytes: two texts of 2 KiB, escaped.
const maxLogLine = 8 << 10

// checkLog checks that no client controls the size or the terminal of the log's readers.
func checkLog(t *testing.T, lines []string) {
	t.Helper()
	for _, line := range lines {
		if len(line) > maxLogLine {
			t.Errorf("a log line has %d bytes: %s", len(line), line[:maxLogLine])
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a log line has control characters: %q", line)
		}
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "refused a request") }) {
		t.Error("no request was logged: the check is broken")
	}
}
