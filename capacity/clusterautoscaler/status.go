// Package clusterautoscaler reads what Cluster Autoscaler says of its node groups.
package clusterautoscaler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
)

// statusConfigMap is where it writes its status, in kube-system; as YAML since version 1.30.
const statusConfigMap = "cluster-autoscaler-status"

// Status is the part of it that we read.
type Status struct {
	NodeGroups []nodeGroup `json:"nodeGroups"`
}

type nodeGroup struct {
	Name   string `json:"name"`
	Health struct {
		CloudProviderTarget int `json:"cloudProviderTarget"`
		MaxSize             int `json:"maxSize"`
	} `json:"health"`
	ScaleUp struct {
		Status      string `json:"status"`
		BackoffInfo struct {
			ErrorCode    string `json:"errorCode"`
			ErrorMessage string `json:"errorMessage"`
		} `json:"backoffInfo"`
	} `json:"scaleUp"`
}

// Read reads it: nothing without Cluster Autoscaler, nor where its status is in the older text format.
func Read(ctx context.Context, live client.Reader) (Status, error) {
	var written corev1.ConfigMap
	err := live.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: statusConfigMap}, &written)
	if apierrors.IsNotFound(err) {
		return Status{}, nil
	}
	if err != nil {
		return Status{}, fmt.Errorf("get the status of Cluster Autoscaler: %w", err)
	}
	var read Status
	if err := yaml.Unmarshal([]byte(written.Data["status"]), &read); err != nil {
		return Status{}, nil //nolint:nilerr // the text format of 1.29 and before
	}
	return read, nil
}

// Refusals say which node groups bring no node, and why: those that are in backoff after a failure, or as
// large as they may be. Of all groups those are looked at whose names hold one of some words.
func (s Status) Refusals(words []string) []string {
	var says []string
	for _, group := range s.NodeGroups {
		if why := group.refusal(); why != "" && slices.ContainsFunc(words, group.isNamed) {
			says = append(says, why)
		}
	}
	return says
}

func (g nodeGroup) refusal() string {
	switch h, b := g.Health, g.ScaleUp.BackoffInfo; {
	case g.ScaleUp.Status == "Backoff":
		return strings.TrimRight(fmt.Sprintf("node group %s is in backoff: %s: %s", g.Name, b.ErrorCode, b.ErrorMessage), ": ")
	case h.MaxSize > 0 && h.CloudProviderTarget >= h.MaxSize:
		return fmt.Sprintf("node group %s is at its maximum of %d nodes", g.Name, h.MaxSize)
	default:
		return ""
	}
}

// isNamed tells whether a word is part of the group's name, and not of a longer word there.
func (g nodeGroup) isNamed(word string) bool {
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; word != ""; {
		at := strings.Index(g.Name[from:], word)
		if at < 0 {
			return false
		}
		start, end := from+at, from+at+len(word)
		if (start == 0 || !inWord(rune(g.Name[start-1]))) && (end == len(g.Name) || !inWord(rune(g.Name[end]))) {
			return true
		}
		from = start + 1
	}
	return false
}

// poolLabels are the labels by which clouds tell of which node group a node is.
var poolLabels = []string{
	"eks.amazonaws.com/nodegroup", "alpha.eksctl.io/nodegroup-name", "cloud.google.com/gke-nodepool", "kubernetes.azure.com/agentpool", "agentpool",
	"cluster.x-k8s.io/deployment-name", "node.cluster.x-k8s.io/pool",
}

// Words are those by which the node groups of a pool may be named: what its selector asks for, and what
// clouds write on its nodes.
func Words(pool *v1alpha1.WarmPool, nodes []*corev1.Node) []string {
	var words []string
	for _, value := range pool.Spec.Nodes.Selector.MatchLabels {
		words = append(words, value)
	}
	for _, e := range pool.Spec.Nodes.Selector.MatchExpressions {
		if e.Operator == metav1.LabelSelectorOpIn {
			words = append(words, e.Values...)
		}
	}
	for _, node := range nodes {
		for _, label := range poolLabels {
			words = append(words, node.Labels[label])
		}
	}
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(word string) bool { return word == "" || word == "true" || word == "false" })
}
