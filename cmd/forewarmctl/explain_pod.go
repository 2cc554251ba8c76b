package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/config"
)

// shownNodes is how many nodes an explanation lists.
const shownNodes = 20

// isPod tells whether a resource as a user writes it is that of pods.
func isPod(resource string) bool { return slices.Contains([]string{"pod", "pods", "po"}, resource) }

// reader reads the API server with the user's own rights.
func reader(c *cobra.Command) (client.Client, error) {
	kubeconfig, err := c.Flags().GetString("kubeconfig")
	if err != nil {
		return nil, err
	}
	return clientFor(kubeconfig)
}

// explainPod prints why a pod waits, or why it went where it went.
func explainPod(c *cobra.Command, namespace, name, configuration string) error {
	settings, err := config.Load(configuration)
	if err != nil {
		return err
	}
	from, err := reader(c)
	if err != nil {
		return err
	}
	return explainPodFrom(c.Context(), c.OutOrStdout(), from, client.ObjectKey{Namespace: namespace, Name: name}, settings.Reserver.PlaceholderNamespace)
}

func explainPodFrom(ctx context.Context, output io.Writer, from client.Reader, key client.ObjectKey, placeholders string) error {
	pod := &corev1.Pod{}
	if err := from.Get(ctx, key, pod); err != nil {
		return fmt.Errorf("get pod %s: %w", key, err)
	}
	index := handler.NewIndex(placeholders)
	if err := index.Read(ctx, from); err != nil {
		return err
	}
	_, err := fmt.Fprintln(output, strings.Join(podLines(pod, index.Explain(pod)), "\n"))
	return err
}

func podLines(pod *corev1.Pod, e handler.PodExplanation) []string {
	lines := []string{
		"Pod " + pod.Namespace + "/" + pod.Name,
		"  asks for  " + asksFor(e),
		"  class     " + classOf(e),
	}
	if pod.Spec.NodeName != "" {
		lines = append(lines, "  placed    on "+pod.Spec.NodeName+"; what follows is as if it were placed now")
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			lines = append(lines, fmt.Sprintf("  scheduler %s: %s", c.Reason, c.Message))
		}
	}
	if len(e.Nodes) == 0 {
		return append(lines, "  no node offers what it asks for, even if it were empty")
	}
	for _, node := range e.Nodes[:min(len(e.Nodes), shownNodes)] {
		lines = append(lines, "  node      "+node.String())
	}
	if more := len(e.Nodes) - shownNodes; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more nodes", more))
	}
	return lines
}

func asksFor(e handler.PodExplanation) string {
	var asks []string
	for _, name := range e.Requests.Names() {
		if strings.Contains(string(name), "/") {
			asks = append(asks, fmt.Sprintf("%d %s", e.Requests[name], name))
		}
	}
	if len(asks) == 0 {
		return "nothing that the extender decides about"
	}
	return strings.Join(asks, ", ")
}

func classOf(e handler.PodExplanation) string {
	switch {
	case e.Exempt:
		return "none; it is of a DaemonSet or of the system, and is never kept off a node"
	case len(e.Classes) > 0:
		return "WarmPool " + strings.Join(e.Classes, ", ")
	default:
		return "none"
	}
}
