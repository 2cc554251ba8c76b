package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/webhook/handler"
)

func auditCommand() *cobra.Command {
	var namespace, config string
	c := &cobra.Command{
		Use:   "audit",
		Short: "List what stands above its ceiling now",
		Long: `List the objects of every kind that is held to ceilings which ask for more than theirs: from
before the ceiling came, by an override, in mode warn or audit, or written while no webhook
answered. What a controller owns is left out, since its owner is listed. Kinds that you may
not list are named on stderr, and the exit status is 1.`,
		Example: `  forewarmctl audit
  forewarmctl audit -n team`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			explainer, table, err := explainerFor(c, config)
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 3, ' ', 0)
			_, _ = fmt.Fprintln(out, "OBJECT\tASKS\tCEILING\tSET BY\tMODE")
			unread := 0
			for _, kind := range table {
				if kind.Cluster && namespace != "" {
					continue
				}
				err := explainer.Above(c.Context(), kind, namespace, func(_ *unstructured.Unstructured, e handler.Explanation) {
					_, _ = fmt.Fprintln(out, auditRows(e))
				}, func() {})
				if apierrors.IsForbidden(err) {
					unread++
					_, _ = fmt.Fprintf(c.ErrOrStderr(), "not listed: %v\n", err)
					continue
				}
				if err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return err
			}
			if unread > 0 {
				return fmt.Errorf("%d kinds could not be listed", unread)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace to look at; empty means all")
	c.Flags().StringVar(&config, "config", "", "the webhook's configuration file, for the kinds that it adds")
	return c
}

// auditRows are a row for a number and one for instance types, where each is above what holds.
func auditRows(e handler.Explanation) string {
	var rows []string
	if e.Exceeds() {
		rows = append(rows, fmt.Sprintf("%s\t%d\t%d\t%s on %s\t%s", e.Request.Object, e.Highest(), e.Limit, e.By.Annotation, e.By.On, mode(e.Request)))
	}
	if len(e.Unapproved) > 0 {
		rows = append(rows, fmt.Sprintf("%s\t%s\t\t%s on %s\t%s", e.Request.Object, strings.Join(e.Unapproved, ","), e.ApprovedBy.Annotation, e.ApprovedBy.On, mode(e.Request)))
	}
	return strings.Join(rows, "\n")
}
