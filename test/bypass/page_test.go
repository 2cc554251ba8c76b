package bypass

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/webhook"
)

const pageHead = `# Ways past a ceiling

Every way to make an object ask for more than its ceiling allows that we know of, tried out kind by kind on a real API server. ` + "`go test ./test/bypass -update`" + ` writes this page from what it saw; without ` + "`-update`" + ` the test fails where the page says otherwise.

**held**: each write came out as the rule says, ` + "`new <= ceiling || new <= old`" + `. Tried are: below the ceiling, at it, above it, and to nothing (or the least that the API takes); with an object that stood above the ceiling before it was set, an unrelated edit, growth, less, and growth back. A refusal must be 403 Forbidden and name the object, the number asked for and the number allowed. **warned**: the same, but growth passes with a warning that says so. **open**: not so. **–**: there is no such way.

Each is tried twice, with the ceiling on the object (or on the workload that it points to) and on its Namespace; kinds of the cluster once.

| column | how |
|---|---|
| create, apply anew | POST, and server-side apply of an object that is not there |
| update, merge patch, JSON patch, strategic patch, apply | of the object; strategic patches exist for kinds of Kubernetes only |
| other version | create, update, merge patch, apply and scale patch by the API version in brackets |
| scale update, scale patch | of ` + "`/scale`" + ` |
| status | ` + "`/status`" + ` with a larger count beside the status: the status is taken, the count is not |
| lift and grow | the object's ceiling raised, or removed, in the write that grows |
| made anew | deleted and created larger, with the ceiling in ` + "`forewarm.dev/workload-max-replicas`" + ` of its Namespace |

Kinds marked ° are not Kubernetes' own: they are served by minimal schemas of ours (` + "`test/bypass/testdata/crds`" + `), without their controllers, conversions and webhooks. Farm and Widget are examples: the webhook's configuration tells it where Farms count, and nothing but their ` + "`/scale`" + ` is known of Widgets. A TrainJob that leaves ` + "`numNodes`" + ` out is held by its JobSet ([ceilings](ceilings.md#what-is-held)).
`

// page is what was seen.
type page struct {
	mu    sync.Mutex
	cells map[string]map[string]bool
}

func newPage() *page { return &page{cells: map[string]map[string]bool{}} }

func cellKey(kind webhook.Kind, r row) string {
	return key(kind.Group, kind.Resource) + " " + r.label()
}

// note keeps what was seen in a column; one that was open once stays open.
func (p *page) note(kind webhook.Kind, r row, column string, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := cellKey(kind, r)
	if p.cells[at] == nil {
		p.cells[at] = map[string]bool{}
	}
	before, seen := p.cells[at][column]
	p.cells[at][column] = held && (before || !seen)
}

// columns are in the order of the ways.
func columns() []string {
	var out []string
	for _, w := range ways() {
		if len(out) == 0 || out[len(out)-1] != w.column {
			out = append(out, w.column)
		}
	}
	return append(out, liftColumn, anewColumn)
}

func (p *page) text(kinds []webhook.Kind) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := bytes.NewBufferString(pageHead)
	names := columns()
	for _, part := range []struct {
		title   string
		measure webhook.Measure
	}{{"Replicas", webhook.Replicas}, {"Nodes", webhook.Nodes}} {
		fmt.Fprintf(out, "\n## %s\n\n| kind | count | %s |\n|%s\n", part.title, strings.Join(names, " | "), strings.Repeat("---|", len(names)+2))
		for _, kind := range kinds {
			if kind.Measure != part.measure {
				continue
			}
			s := subjects()[key(kind.Group, kind.Resource)]
			for _, r := range s.rows {
				fmt.Fprintf(out, "| %s | `%s` |", s.title(kind), strings.TrimPrefix(r.label(), "annotation "))
				for _, column := range names {
					fmt.Fprintf(out, " %s |", p.cell(kind, r, column))
				}
				out.WriteString("\n")
			}
		}
	}
	return out.Bytes()
}

func (s subject) title(kind webhook.Kind) string {
	title := kindName(kind)
	if kind.Group != "" {
		title += " (" + strings.Join(append([]string{kind.Group}, s.others...), ", ") + ")"
	}
	if !s.native {
		title += " °"
	}
	return title
}

func (p *page) cell(kind webhook.Kind, r row, column string) string {
	held, seen := p.cells[cellKey(kind, r)][column]
	switch {
	case !seen:
		return "–"
	case !held:
		return "**open**"
	case kind.Warn && column != "status":
		return "warned"
	default:
		return "held"
	}
}

// check compares the page with the file, or writes it.
func (p *page) check(t *testing.T, kinds []webhook.Kind) {
	t.Helper()
	for _, kind := range kinds {
		for _, r := range subjects()[key(kind.Group, kind.Resource)].rows {
			if p.cells[cellKey(kind, r)] == nil {
				t.Logf("the page is not looked at: %s was not tried", cellKey(kind, r))
				return
			}
		}
	}
	want, path := p.text(kinds), filepath.Join("..", "..", "docs", "bypasses.md")
	if *updatePage {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it: go test ./test/bypass -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/bypasses.md does not say what was seen; look at the difference, then run go test ./test/bypass -update:\n%s", diff)
	}
}
