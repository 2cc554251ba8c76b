package output

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
)

// Tone says how much a line needs a person.
type Tone int

// Tones, and how a terminal shows them: plain, yellow and red.
const (
	Plain Tone = iota
	Notable
	Bad
)

var colours = map[Tone]string{Notable: "\x1b[33m", Bad: "\x1b[31m"}

const reset = "\x1b[0m"

// Page is what people are shown.
type Page struct {
	// Wide asks for all that there is.
	Wide    bool
	colours bool
	text    bytes.Buffer
	failed  error
}

// Line adds a line, or several.
func (p *Page) Line(tone Tone, format string, args ...any) {
	for line := range strings.SplitSeq(strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"), "\n") {
		p.write(tone, line)
	}
}

func (p *Page) write(tone Tone, line string) {
	if code := colours[tone]; p.colours && code != "" && line != "" {
		line = code + line + reset
	}
	p.text.WriteString(line + "\n")
}

// Row is one of a table: a cell per column.
type Row struct {
	Tone  Tone
	Cells []any
}

// Rows is a table. The name of a column that only a wide one has begins with "+".
type Rows struct {
	columns []string
	rows    []Row
}

// NewRows makes an empty table.
func NewRows(columns ...string) *Rows { return &Rows{columns: columns} }

// Add adds a row, a cell per column.
func (r *Rows) Add(tone Tone, cells ...any) { r.rows = append(r.rows, Row{tone, cells}) }

// Table adds a table, if it has rows, and else what to say instead of it.
func (p *Page) Table(r *Rows, none string) {
	if len(r.rows) == 0 {
		if none != "" {
			p.Line(Plain, "%s", none)
		}
		return
	}
	table := &metav1.Table{}
	for _, name := range r.columns {
		name, wide := strings.CutPrefix(name, "+")
		column := metav1.TableColumnDefinition{Name: name, Type: "string"}
		if wide {
			column.Priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, column)
	}
	for _, row := range r.rows {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: row.Cells})
	}
	var printed bytes.Buffer
	if err := printers.NewTablePrinter(printers.PrintOptions{Wide: p.Wide}).PrintObj(table, &printed); err != nil && p.failed == nil {
		p.failed = err
	}
	number := 0
	for line := range strings.Lines(printed.String()) {
		tone := Plain
		if number > 0 && number <= len(r.rows) {
			tone = r.rows[number-1].Tone
		}
		p.write(tone, strings.TrimRight(line, " \n"))
		number++
	}
}

func (p *Page) flush(out io.Writer) error {
	if p.failed != nil {
		return p.failed
	}
	_, err := out.Write(p.text.Bytes())
	return err
}

// coloured says whether out is a terminal whose user has not asked for no colour (https://no-color.org).
func coloured(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}
