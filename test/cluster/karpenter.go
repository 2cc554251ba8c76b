package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/test/cluster/assets"
)

const (
	nodePoolVersion  = "karpenter.sh/v1"
	nodeClassGroup   = "karpenter.kwok.sh"
	nodeClassVersion = nodeClassGroup + "/v1alpha1"
	nodeClassKind    = "KWOKNodeClass"
	nodeClassName    = "default"
)

// installKarpenterTypes applies Karpenter's CRDs, which it does not start without.
func (c *Cluster) installKarpenterTypes(ctx context.Context) error {
	if !c.options.Karpenter {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(c.programs[assets.KarpenterCRDs], "*.yaml"))
	if err != nil {
		return fmt.Errorf("list Karpenter's CRDs: %w", err)
	}
	return c.ApplyFiles(ctx, files...)
}

// karpenter says how Karpenter runs. It cannot be told to listen on loopback only.
func (c *Cluster) karpenter() (component, error) {
	kubeconfig, err := c.KubeconfigFor("karpenter", "system:masters")
	if err != nil {
		return component{}, err
	}
	health, err := c.ports.take()
	if err != nil {
		return component{}, err
	}
	metrics, err := c.ports.take()
	if err != nil {
		return component{}, err
	}
	types, err := c.writeInstanceTypes()
	if err != nil {
		return component{}, err
	}
	env := []string{
		"KUBECONFIG=" + kubeconfig,
		"SYSTEM_NAMESPACE=kube-system",
		"DISABLE_LEADER_ELECTION=true",
		"METRICS_PORT=" + strconv.Itoa(metrics),
		"HEALTH_PROBE_PORT=" + strconv.Itoa(health),
		"KUBERNETES_MIN_VERSION=1.19.0-0",
		"FEATURE_GATES=CapacityBuffer=true,StaticCapacity=true",
		"INSTANCE_TYPES_FILE_PATH=" + types,
	}
	if c.options.BatchIdle > 0 {
		env = append(env, "BATCH_IDLE_DURATION="+c.options.BatchIdle.String())
	}
	if c.options.BatchMax > 0 {
		env = append(env, "BATCH_MAX_DURATION="+c.options.BatchMax.String())
	}
	return component{
		name:     assets.Karpenter,
		env:      env,
		endpoint: Endpoint{Health: address("http", health) + "/readyz", Metrics: address("http", metrics) + "/metrics"},
	}, nil
}

// The format of Karpenter's instance types file. The capitals are as its decoder wants them.
type instanceTypeJSON struct {
	Name             string              `json:"name"`
	Offerings        []offeringJSON      `json:"offerings"`
	Architecture     string              `json:"architecture"`
	OperatingSystems []string            `json:"operatingSystems"`
	Resources        corev1.ResourceList `json:"resources"`
}

type offeringJSON struct {
	Price        float64
	Available    bool
	Requirements []corev1.NodeSelectorRequirement
}

func (c *Cluster) writeInstanceTypes() (string, error) {
	types := make([]instanceTypeJSON, 0, len(c.options.InstanceTypes))
	for _, t := range c.options.InstanceTypes {
		out := instanceTypeJSON{Name: t.Name, Architecture: "amd64", OperatingSystems: []string{"linux"}, Resources: t.Resources}
		for _, o := range t.Offerings {
			out.Offerings = append(out.Offerings, offeringJSON{Price: o.Price, Available: true, Requirements: []corev1.NodeSelectorRequirement{
				{Key: "karpenter.sh/capacity-type", Operator: corev1.NodeSelectorOpIn, Values: []string{o.CapacityType}},
				{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{o.Zone}},
			}})
		}
		types = append(types, out)
	}
	data, err := json.MarshalIndent(types, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write Karpenter's instance types: %w", err)
	}
	path := filepath.Join(c.Dir, "instance-types.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return "", fmt.Errorf("write Karpenter's instance types: %w", err)
	}
	return path, nil
}

// createNodePools makes the node class, whose delay is the boot time of a node, and the pools.
func (c *Cluster) createNodePools(ctx context.Context) error {
	if !c.options.Karpenter {
		return nil
	}
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": nodeClassVersion,
		"kind":       nodeClassKind,
		"metadata":   map[string]any{"name": nodeClassName},
		"spec":       map[string]any{"nodeRegistrationDelay": fmt.Sprintf("%.0fs", c.options.NodeBootDelay.Seconds())},
	}}
	if err := c.Client.Create(ctx, class); err != nil {
		return fmt.Errorf("create the node class: %w", err)
	}
	for _, pool := range c.options.NodePools {
		object, err := pool.object()
		if err != nil {
			return fmt.Errorf("node pool %s: %w", pool.Name, err)
		}
		if err := c.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("create node pool %s: %w", pool.Name, err)
		}
	}
	return nil
}

// object is the NodePool for Karpenter. Its nodes carry the label karpenter.sh/nodepool=NAME.
func (p NodePool) object() (*unstructured.Unstructured, error) {
	requirements := []corev1.NodeSelectorRequirement{{Key: "karpenter.sh/capacity-type", Operator: corev1.NodeSelectorOpIn, Values: []string{"on-demand", "spot"}}}
	if len(p.InstanceTypes) > 0 {
		requirements = append(requirements, corev1.NodeSelectorRequirement{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: p.InstanceTypes})
	}
	disruption := map[string]any{"consolidationPolicy": or(p.ConsolidationPolicy, "WhenEmpty"), "consolidateAfter": or(p.ConsolidateAfter, "30s")}
	if p.DisruptionBudget != "" {
		disruption["budgets"] = []any{map[string]any{"nodes": p.DisruptionBudget}}
	}
	typed := map[string]any{
		"apiVersion": nodePoolVersion,
		"kind":       "NodePool",
		"metadata":   map[string]any{"name": p.Name},
		"spec": map[string]any{
			"template": map[string]any{
				"metadata": map[string]any{"labels": p.Labels},
				"spec": map[string]any{
					"nodeClassRef": map[string]any{"group": nodeClassGroup, "kind": nodeClassKind, "name": nodeClassName},
					"requirements": requirements,
					"taints":       p.Taints,
					"expireAfter":  "Never",
				},
			},
			"disruption": disruption,
			"limits":     p.Limits,
		},
	}
	// Through JSON, since an unstructured object may hold plain maps, lists and numbers only.
	data, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	for _, path := range [][]string{{"spec", "limits"}, {"spec", "template", "spec", "taints"}, {"spec", "template", "metadata", "labels"}} {
		if value, found, _ := unstructured.NestedFieldNoCopy(object.Object, path...); found && value == nil {
			unstructured.RemoveNestedField(object.Object, path...)
		}
	}
	return object, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
