package celpolicy

import "fmt"

const (
	// maxShown is the number of images that a message describes.
	maxShown = 10
	// maxQuoted is the number of characters of a quoted text.
	maxQuoted = 640
	// maxMessage is the size of the longest message in bytes that the API server shows
	// (MaxEvaluatedMessageExpressionSizeBytes in k8s.io/apiserver/pkg/apis/cel). It also refuses line breaks.
	maxMessage = 5 << 10
)

// quoted returns a text in quotes, without control characters, in CEL.
func quoted(text string) string {
	return fmt.Sprintf(`strings.quote(%[1]s.size() > %[2]d ? %[1]s.substring(0, %[2]d) + '...' : %[1]s)`, text, maxQuoted)
}

// addMessage adds the images that are not allowed, and returns the message of a denial, which is empty
// without any. The words are those of the webhook, on one line. path is the path of the pod spec.
func (j judge) addMessage(path string) string {
	j.variables.add("denied", `variables.references.size() == 0 ? [] :
variables.images.filter(i, i.image in variables.references && variables.reasons[i.image].size() > 0)`)
	j.variables.add("path", path)
	j.variables.add("descriptions", fmt.Sprintf(`variables.denied.slice(0, variables.denied.size() < %[1]d ? variables.denied.size() : %[1]d).map(i,
  (i.list == 'volumes' ? 'volume ' : 'container ') + %[2]s +
  ' (' + variables.path + '.' + i.list + '[' + i.index + (i.list == 'volumes' ? '].image.reference' : '].image') + ') uses image ' +
  %[3]s + ': ' + variables.reasons[i.image].join('; '))`, maxShown, quoted("i.name"), j.shownName()))
	j.variables.add("message", fmt.Sprintf(`variables.denied.size() == 1 ? variables.descriptions[0] :
string(variables.denied.size()) + ' images are not allowed: ' +
variables.descriptions.transformList(n, d, '(' + string(n + 1) + ') ' + d).join('; ') +
(variables.denied.size() > %[1]d ? '; and ' + string(variables.denied.size() - %[1]d) + ' more' : '')`, maxShown))
	// The API server evaluates the message of each request, also if it allows it.
	return fmt.Sprintf(`variables.denied.size() == 0 ? '' :
bytes(variables.message).size() <= %d ? variables.message :
string(variables.denied.size()) + (variables.denied.size() == 1 ? ' image is' : ' images are') + ' not allowed, with names that are too long to show'`, maxMessage)
}
