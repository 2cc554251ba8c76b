package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

func auditCommand() *cobra.Command {
	var namespace, config string
	c := &cobra.Command{
		Use:   "audit",
		Short: "List what stands above its ceiling now",
		Long: `List the objects of every kind that is held to ceilings which ask for more than theirs: from
before the ceiling came, by an override, in mode warn or audit, or written while no webhook
answered; then Namespaces, node pools and the cluster that use more than a total of theirs. What a
controller owns is left out, since its owner is listed. Kinds that you may not list are named on
stderr.`,
		Example: `  forewarmctl audit
  forewarmctl audit -n team`,
		Annotations: map[string]string{exitOne: "there are kinds that you may not list"},
		Args:        cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			explainer, table, err := explainerFor(c, config)
			if err != nil {
				return err
			}
			return auditAll(c, explainer, table, namespace)
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace to look at; empty means all")
	c.Flags().StringVar(&config, "config", "", "the webhook's configuration file, for the kinds that it adds")
	return c
}

// auditAll prints what stands above: first objects, kind by kind, then sums.
func auditAll(c *cobra.Command, explainer *audit.Explainer, table []webhook.Kind, namespace string) error {
	out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(out, "OBJECT\tASKS\tCEILING\tSET BY\tMODE")
	unread := 0
	listed := func(err error) error {
		if apierrors.IsForbidden(err) {
			unread++
			_, err = fmt.Fprintf(c.ErrOrStderr(), "not listed: %v\n", err)
		}
		return err
	}
	for _, kind := range table {
		if kind.Cluster && namespace != "" {
			continue
		}
		err := explainer.Above(c.Context(), kind, namespace, func(_ *unstructured.Unstructured, e audit.Explanation) {
			_, _ = fmt.Fprintln(out, auditRows(e))
		}, func() {})
		if err := listed(err); err != nil {
			return err
		}
	}
	err := explainer.TotalsAbove(c.Context(), func(u audit.Used) {
		_, _ = fmt.Fprint(out, totalRow(u, namespace))
	})
	if err := errors.Join(listed(err), listed(auditNodes(c, out, explainer, namespace))); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if unread > 0 {
		return fmt.Errorf("%d kinds could not be listed", unread)
	}
	return nil
}

// auditNodes prints a row where there are more Nodes than kube-system allows.
func auditNodes(c *cobra.Command, out io.Writer, explainer *audit.Explainer, namespace string) error {
	if namespace != "" {
		return nil
	}
	used, counted, err := explainer.Nodes(c.Context(), func() {})
	if err != nil || !counted || !used.Exceeds() {
		return err
	}
	_, err = fmt.Fprintf(out, "Nodes\t%d\t%d\t%s on %s\t\n", used.Amount, used.Limit, used.Total.Annotation, used.Total.On)
	return err
}

// totalRow is a row for a total, empty where it is not of the namespace that is looked at.
func totalRow(u audit.Used, namespace string) string {
	on := u.Total.On
	if namespace != "" && (on.Kind != "Namespace" || on.Name != namespace) {
		return ""
	}
	return fmt.Sprintf("%s\t%d\t%d\t%s on %s\t%s\n", on, u.Amount, u.Limit, u.Total.Annotation, on, u.Mode)
}

// auditRows are a row for a number and one for instance types, where each is above what holds.
func auditRows(e audit.Explanation) string {
	var rows []string
	if e.Exceeds() {
		rows = append(rows, fmt.Sprintf("%s\t%d\t%d\t%s on %s\t%s", e.Request.Object, e.Highest(), e.Limit, e.By.Annotation, e.By.On, mode(e.Request)))
	}
	if len(e.Unapproved) > 0 {
		rows = append(rows, fmt.Sprintf("%s\t%s\t\t%s on %s\t%s", e.Request.Object, strings.Join(e.Unapproved, ","), e.ApprovedBy.Annotation, e.ApprovedBy.On, mode(e.Request)))
	}
	return strings.Join(rows, "\n")
}
