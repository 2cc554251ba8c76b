package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/watch"
	"forewarm.dev/internal/config"
)

// shownNodes is how many nodes an explanation lists, unless it is wide.
const shownNodes = 20

// isPod tells whether a resource as a user writes it is that of pods.
func isPod(resource string) bool { return slices.Contains([]string{"pod", "pods", "po"}, resource) }

// podExplanation says why a pod waits, or why it went where it went.
type podExplanation struct {
	Pod string `json:"pod"`
	// Requests are amounts of what the extender decides about.
	Requests map[string]int64 `json:"requests"`
	Pools    []string         `json:"warmPools,omitempty"`
	Exempt   bool             `json:"exempt,omitempty"`
	// Node is where it has been placed; the nodes are then as if it were placed now.
	Node      string `json:"node,omitempty"`
	Scheduler string `json:"scheduler,omitempty"`
	// AskedOf is the scheduler that the pod names, unless it is the cluster's own.
	AskedOf string `json:"schedulerName,omitempty"`
	// WaitsFor, ExpectedStart and RunClass are what the reserver has written on it.
	WaitsFor      string        `json:"waitsFor,omitempty"`
	ExpectedStart string        `json:"expectedStart,omitempty"`
	RunClass      string        `json:"runClass,omitempty"`
	Nodes         []nodeForAPod `json:"nodes"`
}

// nodeForAPod is how a node fares for it, the best first.
type nodeForAPod struct {
	Name         string   `json:"name"`
	Pool         string   `json:"warmPool,omitempty"`
	Lacks        []string `json:"lacks,omitempty"`
	Unfit        string   `json:"unfit,omitempty"`
	Placeholders int      `json:"placeholders,omitempty"`
	Reason       string   `json:"reason,omitempty"`
	Message      string   `json:"message,omitempty"`
	Score        int64    `json:"score"`
	line         string
}

// explainPod prints why a pod waits, or why it went where it went.
func explainPod(c *cobra.Command, key client.ObjectKey, configuration string, format *output.Format) error {
	settings, err := config.Load(configuration)
	if err != nil {
		return err
	}
	from, err := connection.Of(c)
	if err != nil {
		return err
	}
	whole, err := podFrom(c.Context(), from, key, settings.Reserver.PlaceholderNamespace)
	if err != nil {
		return err
	}
	return format.Print(c.OutOrStdout(), whole, whole.print)
}

func podFrom(ctx context.Context, from client.Reader, key client.ObjectKey, placeholders string) (podExplanation, error) {
	pod := &corev1.Pod{}
	if err := from.Get(ctx, key, pod); err != nil {
		return podExplanation{}, fmt.Errorf("get pod %s: %w", key, err)
	}
	progress.At(ctx, "reading nodes and pods")
	index := handler.NewIndex(placeholders)
	if err := watch.Read(ctx, index, from); err != nil {
		return podExplanation{}, err
	}
	return explainedPod(pod, index.Explain(pod)), nil
}

func explainedPod(pod *corev1.Pod, e handler.PodExplanation) podExplanation {
	out := podExplanation{Pod: pod.Namespace + "/" + pod.Name, Requests: map[string]int64{}, Pools: e.Classes, Exempt: e.Exempt, Node: pod.Spec.NodeName, Nodes: []nodeForAPod{}}
	for _, name := range e.Requests.Names() {
		if strings.Contains(string(name), "/") {
			out.Requests[string(name)] = e.Requests[name]
		}
	}
	out.WaitsFor, out.ExpectedStart, out.RunClass = pod.Annotations[v1alpha1.AnnotationWaitingFor], pod.Annotations[v1alpha1.AnnotationExpectedStart], pod.Annotations[v1alpha1.AnnotationRunClass]
	if name := pod.Spec.SchedulerName; name != corev1.DefaultSchedulerName {
		out.AskedOf = name
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			out.Scheduler = c.Reason + ": " + c.Message
		}
	}
	for _, n := range e.Nodes {
		out.Nodes = append(out.Nodes, nodeForAPod{
			Name: n.Name, Pool: n.Pool, Lacks: n.Lacks, Unfit: n.Unfit, Placeholders: n.Placeholders,
			Reason: string(n.Verdict.Reason), Message: n.Verdict.Message, Score: n.Score, line: n.String(),
		})
	}
	return out
}

// print has a line for each, and of nodes the first ones, or all of them on a wide page.
func (e podExplanation) print(p *output.Page) {
	p.Line(output.Plain, "Pod %s", e.Pod)
	p.Line(output.Plain, "  asks for  %s", e.asksFor())
	p.Line(output.Plain, "  class     %s", e.class())
	if e.WaitsFor != "" {
		p.Line(output.Plain, "  waits     %s", e.waits())
	}
	if e.Node != "" {
		p.Line(output.Plain, "  placed    on %s; what follows is as if it were placed now", e.Node)
	}
	if e.Scheduler != "" {
		p.Line(output.Notable, "  scheduler %s", e.Scheduler)
	}
	if e.AskedOf != "" {
		p.Line(output.Notable, "  asks      the scheduler %s; what follows holds if that one calls the extender", e.AskedOf)
	}
	if len(e.Nodes) == 0 {
		p.Line(output.Notable, "  no node offers what it asks for, even if it were empty")
	}
	shown := e.Nodes
	if !p.Wide {
		shown = e.Nodes[:min(len(e.Nodes), shownNodes)]
	}
	for _, node := range shown {
		p.Line(output.Plain, "  node      %s", node.line)
	}
	if more := len(e.Nodes) - len(shown); more > 0 {
		p.Line(output.Plain, "  and %d more nodes, which -o wide shows", more)
	}
}

func (e podExplanation) asksFor() string {
	var asks []string
	for _, name := range slices.Sorted(maps.Keys(e.Requests)) {
		asks = append(asks, fmt.Sprintf("%d %s", e.Requests[name], name))
	}
	if len(asks) == 0 {
		return "nothing that the extender decides about"
	}
	return strings.Join(asks, ", ")
}

// waits is what the reserver has said of it; a pod that is placed keeps it.
func (e podExplanation) waits() string {
	says := "for WarmPool " + e.WaitsFor
	if e.ExpectedStart != "" {
		says += ", expected to start about " + e.ExpectedStart
	} else {
		says += ", none of whose nodes it fits"
	}
	if e.RunClass != "" {
		says += "; " + e.RunClass
	}
	return says
}

func (e podExplanation) class() string {
	switch {
	case e.Exempt:
		return "none; it is of a DaemonSet or of the system, and is never kept off a node"
	case len(e.Pools) > 0:
		return "WarmPool " + strings.Join(e.Pools, ", ")
	default:
		return "none"
	}
}
