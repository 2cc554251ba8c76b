package main

import (
	"fmt"
	"slices"
	"strings"

	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

// explanation is what holds of an object, and what growing it would meet.
type explanation struct {
	Object string `json:"object"`
	// Measure is replicas or nodes; empty of a Namespace, which asks for nothing itself.
	Measure     webhook.Measure `json:"measure,omitempty"`
	AsksFor     []count         `json:"asksFor,omitempty"`
	Types       []string        `json:"instanceTypes,omitempty"`
	Annotations []annotation    `json:"annotations,omitempty"`
	Totals      []used          `json:"totals,omitempty"`
	Ceiling     *ceiling        `json:"ceiling,omitempty"`
	Unapproved  *unapproved     `json:"unapproved,omitempty"`
	Asked       *answer         `json:"asked,omitempty"`
	Says        []string        `json:"says,omitempty"`
}

// count is a number that an object asks for, and the field that has it.
type count struct {
	Field string `json:"field"`
	Value int64  `json:"value"`
}

// annotation is one that bears on an object.
type annotation struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	On    string `json:"on"`
}

// used is what is used of a total. Limit is absent where the total cannot be read.
type used struct {
	annotation
	Used  int64  `json:"used"`
	Limit *int64 `json:"limit,omitempty"`
}

// ceiling is the smallest that applies.
type ceiling struct {
	annotation
	Limit int64        `json:"limit"`
	Mode  webhook.Mode `json:"mode"`
}

// unapproved are instance types that an object allows against an annotation.
type unapproved struct {
	annotation
	Types []string `json:"instanceTypes"`
}

// answer is what the webhook would say to a number.
type answer struct {
	To      int64           `json:"to"`
	Verdict webhook.Verdict `json:"verdict"`
	Reason  webhook.Reason  `json:"reason"`
}

func annotationOf(s webhook.Setting) annotation {
	return annotation{s.Annotation, s.Value, s.On.String()}
}

func (a annotation) String() string { return fmt.Sprintf("%s on %s", a.Name, a.On) }

// explained is an explanation to print.
func explained(e audit.Explanation, ask *audit.Ask) explanation {
	out := explanation{Object: e.Request.Object.String(), Measure: e.Request.Measure, Annotations: annotationsOf(e), Totals: totalsOf(e), Says: saysOf(e)}
	for _, c := range e.Request.Counts {
		out.AsksFor = append(out.AsksFor, count{c.Field, c.Old})
	}
	if i := e.Request.Instances; i != nil {
		out.Types = i.New
	}
	if e.Bound {
		out.Ceiling = &ceiling{annotationOf(e.By), e.Limit, mode(e.Request)}
	}
	if len(e.Unapproved) > 0 {
		out.Unapproved = &unapproved{annotationOf(e.ApprovedBy), e.Unapproved}
	}
	if ask != nil {
		out.Asked = &answer{ask.To, e.Decision.Verdict, e.Decision.Reason}
	}
	return out
}

// annotationsOf are those that are set.
func annotationsOf(e audit.Explanation) []annotation {
	var set []annotation
	for _, s := range e.Settings() {
		set = append(set, annotationOf(s))
	}
	return set
}

func totalsOf(e audit.Explanation) []used {
	var totals []used
	for _, u := range e.Used {
		total := used{annotation: annotationOf(u.Total), Used: u.Amount}
		if u.Bound {
			total.Limit = new(u.Limit)
		}
		totals = append(totals, total)
	}
	return totals
}

// saysOf is what could not be read, what is warned of, and what a denial says.
func saysOf(e audit.Explanation) []string {
	all := append(slices.Clone(e.Unread), e.Decision.Warnings...)
	return slices.DeleteFunc(append(all, e.Decision.Message), func(line string) bool { return line == "" })
}

// print has a line for each.
func (e explanation) print(p *output.Page) {
	p.Line(output.Plain, "%s", e.Object)
	for _, c := range e.AsksFor {
		p.Line(output.Plain, "  asks for  %d %s by %s", c.Value, e.Measure, c.Field)
	}
	if e.Types != nil {
		p.Line(output.Plain, "  asks for  instance types %s", strings.Join(e.Types, ", "))
	}
	for _, a := range e.Annotations {
		p.Line(output.Plain, "  annotated %s=%q on %s", a.Name, a.Value, a.On)
	}
	for _, u := range e.Totals {
		limit := "a total that cannot be read"
		if u.Limit != nil {
			limit = fmt.Sprint(*u.Limit)
		}
		p.Line(output.Plain, "  used      %d of %s, by %s", u.Used, limit, u.annotation)
	}
	e.verdict(p)
}

// verdict has a line for what results.
func (e explanation) verdict(p *output.Page) {
	switch {
	case e.Measure == "": // a Namespace has no ceiling of its own
	case e.Ceiling == nil:
		p.Line(output.Plain, "  ceiling   none")
	default:
		p.Line(output.Plain, "  ceiling   %d, by %s; mode %s", e.Ceiling.Limit, e.Ceiling.annotation, e.Ceiling.Mode)
	}
	if u := e.Unapproved; u != nil {
		p.Line(output.Notable, "  not approved by %s: %s", u.annotation, strings.Join(u.Types, ", "))
	}
	tone := output.Plain
	if a := e.Asked; a != nil {
		if a.Verdict != webhook.Allow {
			tone = output.Notable
		}
		p.Line(tone, "  %d %s: %s, %s", a.To, e.Measure, a.Verdict, a.Reason)
	}
	for _, says := range e.Says {
		p.Line(tone, "  %s", says)
	}
}
