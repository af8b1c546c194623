package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	what   string
	value  string // as measured, with its unit
	ratio  string // against what it is compared with
	target string // "" for a row that only others are compared with
	met    bool
}

// table collects the rows and the notes below them.
type table struct {
	rows  []row
	notes []string
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

func (t *table) section(title string) { t.rows = append(t.rows, row{what: title}) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tmeasured\tratio\ttarget\tverdict\t")
	for _, r := range t.rows {
		verdict := ""
		switch {
		case r.value == "":
			fmt.Fprintf(tw, "\t\t\t\t\t\n%s\t\t\t\t\t\n", r.what)
			continue
		case r.target != "" && r.met:
			verdict = "met"
		case r.target != "":
			verdict = "MISSED"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t\n", r.what, r.value, r.ratio, r.target, verdict)
	}
	tw.Flush()
	for _, n := range t.notes {
		fmt.Fprintf(w, "\nnote: %s", n)
	}
	fmt.Fprintln(w)
}
