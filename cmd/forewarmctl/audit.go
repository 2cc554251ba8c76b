package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

func auditCommand() *cobra.Command {
	var namespace, config string
	var format output.Format
	c := &cobra.Command{
		Use:   "audit",
		Short: "List what stands above its ceiling now",
		Long: `List the objects of every kind that is held to ceilings which ask for more than theirs: from
before the ceiling came, by an override, in mode warn or audit, or written while no webhook
answered; then Namespaces, node pools and the cluster that use more than a total of theirs. What a
controller owns is left out, since its owner is listed. Kinds that you may not list are named on
stderr.`,
		Example: `  forewarmctl audit
  forewarmctl audit -n team
  forewarmctl audit -o json`,
		Annotations: map[string]string{exitOne: "there are kinds that you may not list"},
		Args:        cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			explainer, table, err := explainerFor(c, config)
			if err != nil {
				return err
			}
			return auditAll(c, explainer, table, namespace, &format)
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace to look at; empty means all")
	_ = c.RegisterFlagCompletionFunc("namespace", connection.CompleteNamespaces) // the flag is there
	c.Flags().StringVar(&config, "config", "", "the webhook's configuration file, for the kinds that it adds")
	output.Add(c, &format)
	return c
}

// above is an object, or a sum, that asks for more than what is allowed. Asks and Ceiling are replicas,
// nodes or GPUs, and absent of one that only allows instance types which are not approved.
type above struct {
	Object  string       `json:"object"`
	Asks    *int64       `json:"asks,omitempty"`
	Ceiling *int64       `json:"ceiling,omitempty"`
	Types   []string     `json:"unapprovedInstanceTypes,omitempty"`
	SetBy   string       `json:"setBy"`
	Value   string       `json:"value,omitempty"`
	Mode    webhook.Mode `json:"mode,omitempty"`
}

// audited is what stands above, and of which kinds that is not known.
type audited struct {
	Above     []above  `json:"above"`
	NotListed []string `json:"notListed,omitempty"`
}

// auditAll prints what stands above: first objects, kind by kind, then sums.
func auditAll(c *cobra.Command, explainer *audit.Explainer, table []webhook.Kind, namespace string, format *output.Format) error {
	found := audited{Above: []above{}}
	listed := func(err error) error {
		if apierrors.IsForbidden(err) {
			found.NotListed = append(found.NotListed, err.Error())
			_, err = fmt.Fprintf(c.ErrOrStderr(), "not listed: %v\n", err)
		}
		return err
	}
	for _, kind := range table {
		if kind.Cluster && namespace != "" {
			continue
		}
		progress.At(c.Context(), "looking at %s, %d above so far", kind.Resource, len(found.Above))
		err := explainer.Above(c.Context(), kind, namespace, func(_ *unstructured.Unstructured, e audit.Explanation) {
			found.Above = append(found.Above, aboveOf(e)...)
		}, func() {})
		if err := listed(err); err != nil {
			return err
		}
	}
	err := explainer.TotalsAbove(c.Context(), func(u audit.Used) {
		if lookedAt(u.Total.On, namespace) {
			found.Above = append(found.Above, sumAbove(u.Total.On.String(), u))
		}
	})
	if err := errors.Join(listed(err), listed(found.nodes(c, explainer, namespace))); err != nil {
		return err
	}
	if err := format.Print(c.OutOrStdout(), found, found.print); err != nil {
		return err
	}
	if unread := len(found.NotListed); unread > 0 {
		return fmt.Errorf("%d kinds could not be listed", unread)
	}
	return nil
}

// lookedAt tells whether a total on an object is one of the namespace that is looked at; empty means all.
func lookedAt(on webhook.Object, namespace string) bool {
	return namespace == "" || on.Kind == "Namespace" && on.Name == namespace
}

// nodes adds a row where there are more Nodes than kube-system allows.
func (a *audited) nodes(c *cobra.Command, explainer *audit.Explainer, namespace string) error {
	if namespace != "" {
		return nil
	}
	used, counted, err := explainer.Nodes(c.Context(), func() {})
	if err == nil && counted && used.Exceeds() {
		used.Mode = "" // nothing is refused
		a.Above = append(a.Above, sumAbove("Nodes", used))
	}
	return err
}

func sumAbove(object string, u audit.Used) above {
	return above{Object: object, Asks: &u.Amount, Ceiling: &u.Limit, SetBy: setBy(u.Total), Value: u.Total.Value, Mode: u.Mode}
}

// aboveOf are a row for a number and one for instance types, where each is above what holds.
func aboveOf(e audit.Explanation) []above {
	var rows []above
	object, mode := e.Request.Object.String(), mode(e.Request)
	if e.Exceeds() {
		asks := e.Highest()
		rows = append(rows, above{Object: object, Asks: &asks, Ceiling: &e.Limit, SetBy: setBy(e.By), Value: e.By.Value, Mode: mode})
	}
	if len(e.Unapproved) > 0 {
		rows = append(rows, above{Object: object, Types: e.Unapproved, SetBy: setBy(e.ApprovedBy), Value: e.ApprovedBy.Value, Mode: mode})
	}
	return rows
}

func setBy(s webhook.Setting) string { return fmt.Sprintf("%s on %s", s.Annotation, s.On) }

func (a *audited) print(p *output.Page) {
	table := output.NewRows("Object", "Asks", "Ceiling", "Set by", "Mode", "+Value")
	for _, row := range a.Above {
		asks, ceiling := strings.Join(row.Types, ","), ""
		if row.Asks != nil {
			asks, ceiling = strconv.FormatInt(*row.Asks, 10), strconv.FormatInt(*row.Ceiling, 10)
		}
		table.Add(output.Plain, row.Object, asks, ceiling, row.SetBy, row.Mode, row.Value)
	}
	p.Table(table, "Nothing stands above its ceiling.")
}
