package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/doctor"
)

func doctorCommand() *cobra.Command {
	var scheduler, configuration string
	var format output.Format
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Name what is wrong with the set-up, and what to do about it",
		Long: `Look at the scheduler's configuration, at Forewarm's webhook configurations and at the cluster,
and name each mistake that is known to bite, with its remedy. It reads with your own rights and
changes nothing.`,
		Example: `  forewarmctl doctor
  forewarmctl doctor --scheduler-config /etc/kubernetes/scheduler-config.yaml
  forewarmctl doctor -o json`,
		Annotations: map[string]string{exitOne: "something is wrong; what is doubtful alone may be meant so"},
		Args:        cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := connection.Of(c)
			if err != nil {
				return err
			}
			facts, err := examine(c.Context(), from, scheduler, configuration)
			if err != nil {
				return err
			}
			return tell(c.OutOrStdout(), facts, &format)
		},
	}
	c.Flags().StringVar(&scheduler, "scheduler-config", "", "the KubeSchedulerConfiguration; without it the scheduler's side is not looked at")
	c.Flags().StringVar(&configuration, "config", "", "Forewarm's configuration file; empty means the defaults")
	output.Add(c, &format)
	return c
}

// partOf is the label by which the chart marks what it makes, also in Namespaces of others.
const partOf = "app.kubernetes.io/part-of"

// examine gathers the facts.
func examine(ctx context.Context, from client.Client, scheduler, configuration string) (doctor.Facts, error) {
	settings, err := config.Load(configuration)
	if err != nil {
		return doctor.Facts{}, err
	}
	f := doctor.Facts{
		Address: settings.Extender.Address, Deadline: settings.Extender.Deadline.Duration, MarkClaims: settings.Webhook.MarkClaims, DrainSeconds: settings.Webhook.DrainSeconds, Now: time.Now(),
		Lease: settings.Extender.SchedulerLease, LeaseKnown: configuration != "", AnyCaller: configuration != "" && settings.Webhook.ClientCA == nil,
	}
	if f.Scheduler, err = schedulerConfiguration(scheduler); err != nil {
		return f, err
	}
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	var policies admissionregistrationv1.ValidatingAdmissionPolicyList
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	var nodes corev1.NodeList
	var priorities schedulingv1.PriorityClassList
	var flows flowcontrolv1.FlowSchemaList
	var classes resourcev1.DeviceClassList
	var pools v1alpha1.WarmPoolList
	for _, list := range []client.ObjectList{&validating, &mutating, &policies, &bindings, &nodes, &priorities, &flows, &classes, &pools} {
		if err := from.List(ctx, list); err != nil && !meta.IsNoMatchError(err) {
			return f, fmt.Errorf("list %T: %w", list, err)
		}
	}
	if f.OwnPods, err = ownPods(ctx, from, settings.Webhook.Namespace); err != nil {
		return f, err
	}
	f.Validating, f.Mutating, f.Policies, f.PolicyBindings = validating.Items, mutating.Items, policies.Items, bindings.Items
	f.Nodes, f.PriorityClasses, f.FlowSchemas, f.DeviceClasses, f.Pools = nodes.Items, priorities.Items, flows.Items, classes.Items, pools.Items
	if f.Unserved, err = unserved(from.RESTMapper()); err != nil {
		return f, err
	}
	if f.NotLookedAt, err = scheduling(ctx, from, settings, &f); err != nil {
		return f, err
	}
	err = system(ctx, from, &f)
	return f, err
}

// ownPods are the pods of Forewarm's Namespace, and those in kube-system that the chart makes.
func ownPods(ctx context.Context, from client.Reader, namespace string) ([]corev1.Pod, error) {
	var own, system corev1.PodList
	if err := from.List(ctx, &own, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", namespace, err)
	}
	if err := from.List(ctx, &system, client.InNamespace(metav1.NamespaceSystem), client.MatchingLabels{partOf: "forewarm"}); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", metav1.NamespaceSystem, err)
	}
	return append(own.Items, system.Items...), nil
}

// unserved are the features that the API server lacks.
func unserved(mapper meta.RESTMapper) ([]doctor.Feature, error) {
	var all []doctor.Feature
	for _, feature := range doctor.Features() {
		_, err := mapper.RESTMapping(feature.Kind.GroupKind(), feature.Kind.Version)
		switch {
		case meta.IsNoMatchError(err):
			all = append(all, feature)
		case err != nil:
			return nil, fmt.Errorf("look for %s: %w", feature.Kind, err)
		}
	}
	return all, nil
}

// system gathers what kube-system says and runs.
func system(ctx context.Context, from client.Reader, f *doctor.Facts) error {
	if err := from.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &f.System); err != nil {
		return fmt.Errorf("get Namespace %s: %w", metav1.NamespaceSystem, err)
	}
	var deployments appsv1.DeploymentList
	if err := from.List(ctx, &deployments, client.InNamespace(metav1.NamespaceSystem)); err != nil {
		return fmt.Errorf("list Deployments of %s: %w", metav1.NamespaceSystem, err)
	}
	f.SystemDeployments = deployments.Items
	return nil
}

// schedulerConfiguration reads a file; nil if none is named.
func schedulerConfiguration(path string) (*configv1.KubeSchedulerConfiguration, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's configuration: %w; give the file that kube-scheduler has as --config", err)
	}
	c := &configv1.KubeSchedulerConfiguration{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, fmt.Errorf("scheduler configuration %s: %w", path, err)
	}
	if c.Kind != "KubeSchedulerConfiguration" {
		return nil, fmt.Errorf("scheduler configuration %s: kind is %q, want KubeSchedulerConfiguration", path, c.Kind)
	}
	return c, nil
}

// errWrong makes the exit code say that something is wrong.
var errWrong = errors.New("something is wrong, see above")

// diagnosis is what doctor found, what the API server does not serve, and what could not be looked at.
type diagnosis struct {
	Findings    []finding `json:"findings"`
	NotServed   []string  `json:"notServed,omitempty"`
	NotLookedAt []string  `json:"notLookedAt,omitempty"`
}

type finding struct {
	Level  doctor.Level `json:"level"`
	Where  string       `json:"where"`
	What   string       `json:"what"`
	Remedy string       `json:"remedy"`
}

func tell(out io.Writer, facts doctor.Facts, format *output.Format) error {
	findings := doctor.Diagnose(facts)
	whole, wrong := diagnosis{Findings: []finding{}}, false
	for _, f := range findings {
		wrong = wrong || f.Level == doctor.Wrong
		whole.Findings = append(whole.Findings, finding(f))
	}
	for _, feature := range facts.Unserved {
		whole.NotServed = append(whole.NotServed, feature.Unserved())
	}
	whole.NotLookedAt = append(whole.NotLookedAt, facts.NotLookedAt...)
	if facts.Scheduler == nil {
		whole.NotLookedAt = append(whole.NotLookedAt, "the scheduler's configuration; give it with --scheduler-config")
	}
	err := format.Print(out, whole, func(p *output.Page) {
		for _, f := range findings {
			p.Line(toneOf(f.Level), "%s", f)
		}
		for _, what := range whole.NotServed {
			p.Line(output.Plain, "%s", what)
		}
		for _, what := range whole.NotLookedAt {
			p.Line(output.Plain, "not looked at: %s", what)
		}
		if len(findings) == 0 {
			p.Line(output.Plain, "nothing found")
		}
	})
	if err == nil && wrong {
		err = errWrong
	}
	return err
}

func toneOf(level doctor.Level) output.Tone {
	if level == doctor.Wrong {
		return output.Bad
	}
	return output.Notable
}
