package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
	"forewarm.dev/webhook/sources"
)

func explainCommand() *cobra.Command {
	var namespace, file string
	ask := audit.Ask{}
	c := &cobra.Command{
		Use:   "explain RESOURCE/NAME",
		Short: "Print the ceiling of an object and what growing it would meet, or why a pod waits",
		Long: `Print what an object asks for, every annotation that bears on it, the ceiling that results, what
is used of the totals that it is part of, and with --replicas whether the admission webhook would
let it grow to that number. Of a Namespace, print its annotations and what is used of its totals.
Of a pod, print why it waits, or how the extender sees each node for it.

It decides by the same code as the webhook and reads with your own rights. Last good values of
annotations that cannot be read are in the webhook's memory only.`,
		Example: `  forewarmctl explain deployment/web -n team
  forewarmctl explain rollouts.argoproj.io/web -n team --replicas 12
  forewarmctl explain nodepool/a100
  forewarmctl explain namespace/team
  forewarmctl explain pod/train-0 -n team
  forewarmctl explain forecast a100`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			resource, name, found := strings.Cut(args[0], "/")
			if !found || resource == "" || name == "" {
				return fmt.Errorf("%q is not of the form RESOURCE/NAME: write for example deployment/web", args[0])
			}
			if isPod(resource) {
				return explainPod(c, namespace, name, file)
			}
			var asked *audit.Ask
			if c.Flags().Changed("replicas") {
				asked = &ask
			}
			switch {
			case asked == nil && ask.By != "":
				return errors.New("--by says what --replicas is for: give both, for example --by spec.maxReplicas --replicas 12")
			case ask.To < 0 || ask.To > math.MaxInt32:
				return fmt.Errorf("--replicas %d: write a number from 0 to %d", ask.To, math.MaxInt32)
			}
			explainer, _, err := explainerFor(c, file)
			if err != nil {
				return err
			}
			return explain(c.Context(), c.OutOrStdout(), explainer, [3]string{resource, namespace, name}, asked)
		},
	}
	c.AddCommand(explainForecastCommand())
	c.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of the object")
	c.Flags().Int64Var(&ask.To, "replicas", 0, "number to ask about")
	c.Flags().StringVar(&ask.By, "by", "", "the count that the number is for, as the output names it; empty means the first")
	c.Flags().StringVar(&file, "config", "", "the webhook's configuration file, for the kinds that it adds")
	return c
}

// explainerFor reads the table of kinds and connects.
func explainerFor(c *cobra.Command, file string) (*audit.Explainer, []webhook.Kind, error) {
	kubeconfig, err := c.Flags().GetString("kubeconfig")
	if err != nil {
		return nil, nil, err
	}
	settings, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	table, err := sources.Table(settings.Webhook.Kinds)
	if err != nil {
		return nil, nil, err
	}
	restConfig, err := observe.RESTConfig(kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	explainer, err := audit.NewExplainer(restConfig, table, settings.Webhook.Namespace)
	return explainer, table, err
}

// explain prints one object; which is resource, namespace and name.
func explain(ctx context.Context, output io.Writer, explainer *audit.Explainer, which [3]string, ask *audit.Ask) error {
	gvr, o, err := explainer.Find(ctx, which[0], which[1], which[2])
	if err != nil {
		return err
	}
	e, err := explainer.ExplainTotals(ctx, gvr, o, ask)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(output, strings.Join(explained(e, ask), "\n"))
	return err
}

// explained are the lines of an explanation.
func explained(e audit.Explanation, ask *audit.Ask) []string {
	lines := []string{e.Request.Object.String()}
	for _, count := range e.Request.Counts {
		lines = append(lines, fmt.Sprintf("  asks for  %d %s by %s", count.Old, e.Request.Measure, count.Field))
	}
	settings := append([]webhook.Setting{e.Request.Own, e.Request.Override}, e.Request.Above...)
	if i := e.Request.Instances; i != nil {
		lines = append(lines, "  asks for  instance types "+strings.Join(i.New, ", "))
		settings = append(settings, i.Lists...)
	}
	for _, s := range settings {
		if s.Set {
			lines = append(lines, fmt.Sprintf("  annotated %s=%q on %s", s.Annotation, s.Value, s.On))
		}
	}
	for _, used := range e.Used {
		lines = append(lines, "  used      "+usedOf(used))
	}
	if e.Request.Measure != "" { // a Namespace has no ceiling of its own
		lines = append(lines, ceilingOf(e))
	}
	if len(e.Unapproved) > 0 {
		lines = append(lines, fmt.Sprintf("  not approved by %s on %s: %s", e.ApprovedBy.Annotation, e.ApprovedBy.On, strings.Join(e.Unapproved, ", ")))
	}
	if ask != nil {
		lines = append(lines, fmt.Sprintf("  %d %s: %s, %s", ask.To, e.Request.Measure, e.Decision.Verdict, e.Decision.Reason))
	}
	for _, said := range append(append(slices.Clone(e.Unread), e.Decision.Warnings...), e.Decision.Message) {
		if said != "" {
			lines = append(lines, "  "+said)
		}
	}
	return lines
}

func ceilingOf(e audit.Explanation) string {
	if !e.Bound {
		return "  ceiling   none"
	}
	return fmt.Sprintf("  ceiling   %d, by %s on %s; mode %s", e.Limit, e.By.Annotation, e.By.On, mode(e.Request))
}

// usedOf is what is used of a total.
func usedOf(u audit.Used) string {
	limit := "a total that cannot be read"
	if u.Bound {
		limit = fmt.Sprint(u.Limit)
	}
	return fmt.Sprintf("%d of %s, by %s on %s", u.Amount, limit, u.Total.Annotation, u.Total.On)
}

func mode(r webhook.Request) webhook.Mode {
	if r.Mode == "" {
		return webhook.Enforce
	}
	return r.Mode
}
