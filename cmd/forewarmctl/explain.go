package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
	"forewarm.dev/webhook/sources"
)

// asking is what the flags ask about; nil if they name no number.
func asking(c *cobra.Command, ask *audit.Ask) (*audit.Ask, error) {
	switch changed := c.Flags().Changed("replicas"); {
	case !changed && ask.By != "":
		return nil, errors.New("--by says what --replicas is for: give both, for example --by spec.maxReplicas --replicas 12")
	case ask.To < 0 || ask.To > math.MaxInt32:
		return nil, fmt.Errorf("--replicas %d: write a number from 0 to %d", ask.To, math.MaxInt32)
	case !changed:
		return nil, nil
	}
	return ask, nil
}

func explainCommand() *cobra.Command {
	var namespace, file string
	ask := audit.Ask{}
	var format output.Format
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
  forewarmctl explain pod/train-0 -n team -o json
  forewarmctl explain forecast a100`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: connection.CompleteObjects("namespace", explainable()...),
		RunE: func(c *cobra.Command, args []string) error {
			resource, name, found := strings.Cut(args[0], "/")
			if !found || resource == "" || name == "" {
				return fmt.Errorf("%q is not of the form RESOURCE/NAME: write for example deployment/web", args[0])
			}
			if isPod(resource) {
				return explainPod(c, client.ObjectKey{Namespace: namespace, Name: name}, file, &format)
			}
			asked, err := asking(c, &ask)
			if err != nil {
				return err
			}
			explainer, _, err := explainerFor(c, file)
			if err != nil {
				return err
			}
			whole, err := explain(c.Context(), explainer, [3]string{resource, namespace, name}, asked)
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), whole, whole.print)
		},
	}
	output.Add(c, &format)
	c.AddCommand(explainForecastCommand())
	c.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of the object")
	_ = c.RegisterFlagCompletionFunc("namespace", connection.CompleteNamespaces) // the flag is there
	c.Flags().Int64Var(&ask.To, "replicas", 0, "number to ask about")
	c.Flags().StringVar(&ask.By, "by", "", "the count that the number is for, as the output names it; empty means the first")
	c.Flags().StringVar(&file, "config", "", "the webhook's configuration file, for the kinds that it adds")
	return c
}

// explainable are the resources that a shell completes: those that are held to ceilings without
// further configuration, and what is explained otherwise.
func explainable() []string {
	resources := []string{"namespace", "pod"}
	for _, kind := range webhook.Kinds() {
		resource := strings.ToLower(kind.Name)
		if kind.Group != "" && !slices.Contains([]string{"apps", "batch", "autoscaling"}, kind.Group) {
			resource = kind.Resource + "." + kind.Group
		}
		resources = append(resources, resource)
	}
	slices.Sort(resources)
	return slices.Compact(resources)
}

// explainerFor reads the table of kinds and connects.
func explainerFor(c *cobra.Command, file string) (*audit.Explainer, []webhook.Kind, error) {
	settings, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	table, err := sources.Table(settings.Webhook.Kinds)
	if err != nil {
		return nil, nil, err
	}
	restConfig, err := connection.REST(c)
	if err != nil {
		return nil, nil, err
	}
	explainer, err := audit.NewExplainer(restConfig, table, settings.Webhook.Namespace)
	return explainer, table, err
}

// explain reads one object; which is resource, namespace and name.
func explain(ctx context.Context, explainer *audit.Explainer, which [3]string, ask *audit.Ask) (explanation, error) {
	gvr, o, err := explainer.Find(ctx, which[0], which[1], which[2])
	if err != nil {
		return explanation{}, err
	}
	e, err := explainer.ExplainTotals(ctx, gvr, o, ask)
	if err != nil {
		return explanation{}, err
	}
	return explained(e, ask), nil
}

func mode(r webhook.Request) webhook.Mode {
	if r.Mode == "" {
		return webhook.Enforce
	}
	return r.Mode
}
