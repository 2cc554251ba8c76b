package cluster

import (
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/test/cluster/assets"
)

// GPU is the extended resource that GPUs are counted in.
const GPU corev1.ResourceName = "nvidia.com/gpu"

// RunTimeAnnotation on a pod of a Job is how long it runs before KWOK completes it, as a Go
// duration; changed while it runs, how long from then on. Without it such a pod completes after
// one second; a pod of no Job never does.
const RunTimeAnnotation = "demo.forewarm.dev/run-time"

// Options say what a cluster is made of. etcd and the API server always run.
type Options struct {
	Scheduler         bool
	ControllerManager bool
	// KWOK plays the kubelet of every node: nodes become Ready, pods run.
	KWOK bool
	// Karpenter buys nodes through its KWOK provider; it needs KWOK.
	Karpenter bool

	// SchedulerExtenders are called by the scheduler.
	SchedulerExtenders []schedulerv1.Extender
	// StaticNodes are there from the start.
	StaticNodes []NodeTemplate

	// NodeBootDelay is the time from Karpenter's decision to the Node object.
	NodeBootDelay time.Duration
	// NodePools are Karpenter's; nil means one, named "gpu", that removes empty nodes after 30 s.
	NodePools []NodePool
	// InstanceTypes are what Karpenter may buy; nil means one, "gpu-8x", with 8 GPUs.
	InstanceTypes []InstanceType
	// Zones are where that one is sold; nil means test-zone-a.
	Zones []string
	// BatchIdle and BatchMax are Karpenter's batching windows; zero means its own 1 s and 10 s.
	BatchIdle, BatchMax time.Duration

	// AuditLog is the path of the API server's audit log, one JSON event a line with
	// microseconds, at level Metadata; empty means none.
	AuditLog string
	// auditOurs has it hold the requests of our own ServiceAccounts only.
	auditOurs bool
	// MayBeForbidden are parts of what Forbidden says that a test means to happen.
	MayBeForbidden []string
	// FeatureGates go to the API server, the scheduler and the controller manager.
	FeatureGates map[string]bool
	// ExtraArgs are more flags per component, by its name in package assets. A flag given here
	// replaces the launcher's own of the same name.
	ExtraArgs map[string][]string

	// Dir holds data, keys, kubeconfigs and configuration; empty means a temporary folder that
	// Stop removes.
	Dir string
	// LogDir holds one log file per process; empty means the folder logs in Dir.
	LogDir string
}

// NodeTemplate describes a number of equal nodes.
type NodeTemplate struct {
	// Name is the prefix: nodes are called NAME-0, NAME-1 and so on.
	Name   string
	Count  int
	Labels map[string]string
	Taints []corev1.Taint
	GPUs   int64
	// CPU and Memory are quantities; empty means 96 and 512Gi.
	CPU, Memory string
}

// NodePool describes a NodePool of Karpenter.
type NodePool struct {
	Name   string
	Labels map[string]string
	Taints []corev1.Taint
	// InstanceTypes restrict what the pool buys; nil means any.
	InstanceTypes []string
	// ConsolidationPolicy is WhenEmpty (the default here) or WhenEmptyOrUnderutilized.
	ConsolidationPolicy string
	// ConsolidateAfter is a duration or Never; empty means 30s.
	ConsolidateAfter string
	// DisruptionBudget is how many nodes may be removed at once, a number or percentage; empty
	// means Karpenter's own 10%.
	DisruptionBudget string
	// Limits bound the pool, for example cpu, nvidia.com/gpu or nodes.
	Limits corev1.ResourceList
}

// InstanceType is something that Karpenter may buy.
type InstanceType struct {
	Name      string
	Resources corev1.ResourceList
	Offerings []Offering
}

// Offering is how an instance type is sold.
type Offering struct {
	// CapacityType is on-demand or spot.
	CapacityType string
	Zone         string
	// Price is per hour.
	Price float64
}

// validate refuses what cannot work.
func (o Options) validate() error {
	switch {
	case o.Karpenter && !o.KWOK:
		return errors.New("options: Karpenter needs KWOK to make its nodes Ready; set KWOK too")
	case len(o.StaticNodes) > 0 && !o.KWOK:
		return errors.New("options: StaticNodes need KWOK to become Ready; set KWOK too")
	case o.KWOK && !o.ControllerManager:
		return errors.New("options: nodes keep their not-ready taint without the controller manager; set ControllerManager too")
	case len(o.SchedulerExtenders) > 0 && !o.Scheduler:
		return errors.New("options: SchedulerExtenders need a scheduler; set Scheduler too")
	case o.NodeBootDelay%time.Second != 0:
		return fmt.Errorf("options: NodeBootDelay %s; Karpenter's KWOK provider takes whole seconds", o.NodeBootDelay)
	default:
		return nil
	}
}

// withDefaults fills what is empty.
func (o Options) withDefaults() Options {
	if o.NodePools == nil {
		o.NodePools = []NodePool{{Name: "gpu"}}
	}
	if o.Zones == nil {
		o.Zones = []string{"test-zone-a"}
	}
	if o.InstanceTypes == nil {
		var offerings []Offering
		for _, zone := range o.Zones {
			offerings = append(offerings, Offering{CapacityType: "on-demand", Zone: zone, Price: 20})
		}
		o.InstanceTypes = []InstanceType{{
			Name: "gpu-8x",
			Resources: corev1.ResourceList{
				corev1.ResourceCPU:              resource.MustParse("96"),
				corev1.ResourceMemory:           resource.MustParse("512Gi"),
				corev1.ResourceEphemeralStorage: resource.MustParse("600Gi"),
				corev1.ResourcePods:             resource.MustParse("110"),
				GPU:                             resource.MustParse("8"),
			},
			Offerings: offerings,
		}}
	}
	return o
}

// components lists the programs to run, in the order in which they start.
func (o Options) components() []string {
	names := []string{assets.Etcd, assets.APIServer}
	for _, c := range []struct {
		wanted bool
		name   string
	}{{o.ControllerManager, assets.ControllerManager}, {o.Scheduler, assets.Scheduler}, {o.KWOK, assets.KWOK}, {o.Karpenter, assets.Karpenter}} {
		if c.wanted {
			names = append(names, c.name)
		}
	}
	return names
}

// nodes makes the Node objects of a template. KWOK finds them by being told to manage all.
func (t NodeTemplate) nodes() []*corev1.Node {
	cpu, memory := t.CPU, t.Memory
	if cpu == "" {
		cpu = "96"
	}
	if memory == "" {
		memory = "512Gi"
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	if t.GPUs > 0 {
		resources[GPU] = *resource.NewQuantity(t.GPUs, resource.DecimalSI)
	}
	nodes := make([]*corev1.Node, 0, t.Count)
	for i := range t.Count {
		name := fmt.Sprintf("%s-%d", t.Name, i)
		labels := map[string]string{corev1.LabelHostname: name, corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux"}
		maps.Copy(labels, t.Labels)
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Spec:       corev1.NodeSpec{Taints: t.Taints},
			Status:     corev1.NodeStatus{Capacity: resources, Allocatable: resources},
		})
	}
	return nodes
}
