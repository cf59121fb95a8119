package admissioncost

import "testing"

func TestCheckImagesKnowsWhichArmsMirror(t *testing.T) {
	const sent, mirrored = "nginx:1 ", "mirror.example/nginx:1 "
	for _, tt := range []struct {
		name, arm, stored, mirrored string
		want                        string // the error; empty: none
	}{
		{"baseline", none, sent, "", ""},
		{"plugin", plugin, sent, mirrored, ""},
		{"webhook", webhook, mirrored, mirrored, ""},
		{"static files", static, mirrored, mirrored, ""},
		{"baseline that mirrors", none, mirrored, "", `the arm "none" gets the images "nginx:1 ", but stores "mirror.example/nginx:1 "`},
		{"plugin that mirrors", plugin, mirrored, mirrored, `the arm "plugin" gets the images "nginx:1 ", but stores "mirror.example/nginx:1 "`},
		{"webhook that does not mirror", webhook, sent, sent, `the arm "webhook" does not rewrite the images "nginx:1 "`},
		{"another mirror", hybrid, "other.example/nginx:1 ", mirrored, `the webhook stores the images "mirror.example/nginx:1 ", but the arm "hybrid" stores "other.example/nginx:1 "`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := checkImages(tt.arm, sent, tt.stored, tt.mirrored); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got error %q, want %q", got, tt.want)
			}
		})
	}
}
