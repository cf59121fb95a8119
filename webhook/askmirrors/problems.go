package askmirrors

import "fmt"

// Problems returns a message for each different error of the results: one for a mirror that does not
// work, however many images it should have.
func Problems(results []Result) (messages []string) {
	type group struct {
		first  string
		images map[string]bool
	}
	groups := map[string]*group{}
	var order []string
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		text := r.Err.Error()
		if groups[text] == nil {
			groups[text] = &group{r.To, map[string]bool{}}
			order = append(order, text)
		}
		groups[text].images[r.To] = true
	}
	for _, text := range order {
		g := groups[text]
		images := fmt.Sprintf("image %q", g.first)
		if n := len(g.images); n > 1 {
			images = fmt.Sprintf("%d images such as %q", n, g.first)
		}
		messages = append(messages, fmt.Sprintf("cannot ask about %s: %s", images, text))
	}
	return messages
}
