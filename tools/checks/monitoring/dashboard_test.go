package monitoring

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// columns is the width of a dashboard in Grafana's grid.
const columns = 24

// panel has the fields of a panel that the tests check.
type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  source `json:"datasource"`
	GridPos     struct {
		H, W, X, Y int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID      string `json:"refId"`
		Expr       string `json:"expr"`
		Legend     string `json:"legendFormat"`
		Datasource source `json:"datasource"`
	} `json:"targets"`
}

type source struct{ Type, UID string }

func (p panel) isRow() bool { return p.Type == "row" }

func panels(t *testing.T) []panel {
	t.Helper()
	var read struct{ Panels []panel }
	if err := json.Unmarshal(readFile(t, deploy+"dashboard.json"), &read); err != nil {
		t.Fatal(err)
	}
	return read.Panels
}

// decodeDashboard decodes a dashboard. It returns the problems that Grafana's types find.
func decodeDashboard(content []byte) (read dashboard.Dashboard, problems string) {
	plugins.RegisterDefaultPlugins()
	// Without problems, the error is not nil, but has an empty text.
	if err := read.UnmarshalJSONStrict(content); err != nil && err.Error() != "" {
		return read, err.Error()
	}
	if err := read.Validate(); err != nil {
		return read, err.Error()
	}
	return read, ""
}

func TestUnknownFieldsAreFound(t *testing.T) {
	misspelled := strings.Replace(string(readFile(t, deploy+"dashboard.json")), `"wideLayout"`, `"wideLayuot"`, 1)
	if _, problems := decodeDashboard([]byte(misspelled)); !strings.Contains(problems, "unexpected field 'wideLayuot'") {
		t.Errorf("got %q", problems)
	}
}

func TestDashboardHasTheTypesOfGrafana(t *testing.T) {
	read, problems := decodeDashboard(readFile(t, deploy+"dashboard.json"))
	if problems != "" {
		t.Fatal(problems)
	}
	var variables []string
	for _, v := range read.Templating.List {
		variables = append(variables, v.Name)
	}
	if diff := cmp.Diff([]string{"datasource"}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if read.Id != nil || read.Uid == nil {
		t.Error("an import needs no id, but a uid, which keeps links to the dashboard valid")
	}
}

func TestDashboardHasTheseRows(t *testing.T) {
	var rows []string
	for _, p := range panels(t) {
		if p.isRow() {
			rows = append(rows, p.Title)
		}
	}
	if diff := cmp.Diff([]string{"Verdicts", "Latency and load", "Certificates, policy, versions", "API server"}, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPanelsAreComplete(t *testing.T) {
	ids, titles := map[int]bool{}, map[string]bool{}
	for _, p := range panels(t) {
		if ids[p.ID] || titles[p.Title] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: the id or the title is empty, or another panel has it", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		if p.isRow() {
			continue
		}
		if p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: unit %q, %d queries", p.Title, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		checkTargets(t, p)
	}
}

func checkTargets(t *testing.T, p panel) {
	t.Helper()
	want := source{"prometheus", "${datasource}"}
	if p.Datasource != want {
		t.Errorf("%s: data source %v, want %v", p.Title, p.Datasource, want)
	}
	for i, target := range p.Targets {
		if target.Datasource != want || target.RefID != string(rune('A'+i)) || target.Legend == "" {
			t.Errorf("%s: query %d has the data source %v, the id %q, the legend %q", p.Title, i, target.Datasource, target.RefID, target.Legend)
		}
	}
}

func TestPanelsFillTheGridWithoutOverlap(t *testing.T) {
	used := map[[2]int]string{} // title by column and line
	bottom := 0
	for _, p := range panels(t) {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := used[[2]int{x, y}]; taken || x >= columns {
					t.Fatalf("%q overlaps %q, or is too wide", p.Title, other)
				}
				used[[2]int{x, y}] = p.Title
				bottom = max(bottom, y+1)
			}
		}
	}
	if len(used) != columns*bottom {
		t.Errorf("%d of %d cells are used", len(used), columns*bottom)
	}
}

// queries returns the queries of the dashboard by a name, with a range instead of Grafana's.
func dashboardQueries(t *testing.T) (all []query) {
	t.Helper()
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			text := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			if strings.Contains(text, "$") {
				t.Errorf("%s: %s: unknown variable", p.Title, target.Expr)
			}
			all = append(all, query{fmt.Sprintf("panel %q, query %s", p.Title, target.RefID), text})
		}
	}
	return slices.Clip(all)
}
