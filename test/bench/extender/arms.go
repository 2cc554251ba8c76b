package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/extender/handler"
)

// gpusPerNode is what each node offers.
const gpusPerNode = 8

// arm is what is measured side by side.
type arm struct {
	name string
	// gpus says that the pods ask for one GPU each.
	gpus bool
	// extender is the command line of the extender; nil means none.
	extender func(s settings, address string, folder string) []string
	// everyPod has the extender called for every pod.
	everyPod bool
	// stub says that the extender is the stub, which serves calls and metrics at one address.
	stub bool
}

// Names of the arms that others are compared with.
const (
	armNone = "none"
	armStub = "stub"
	armGPU  = "gpu"
)

var arms = []arm{
	{name: armNone, gpus: true},
	{name: "none_again", gpus: true}, // A/A
	{name: "unconcerned", extender: forewarm},
	{name: armGPU, gpus: true, extender: forewarm},
	{name: armStub, gpus: true, extender: stub, stub: true},
	{name: "plain_json", gpus: true, extender: plainJSON, everyPod: true, stub: true},
}

func forewarm(s settings, _, folder string) []string {
	return []string{s.extender, "--config", filepath.Join(folder, "extender.yaml"), "--kubeconfig", filepath.Join(folder, "kubeconfig")}
}

func stub(s settings, address, _ string) []string { return []string{s.stub, "--address", address} }

func plainJSON(s settings, address, _ string) []string {
	return []string{s.stub, "--address", address, "--json"}
}

// write makes the files of a run: the scheduler's and our configuration, and scheduler_perf's.
func (a arm) write(folder string, at addresses, nodes, pods int) error {
	scheduler := configv1.KubeSchedulerConfiguration{TypeMeta: metav1.TypeMeta{APIVersion: configv1.SchemeGroupVersion.String(), Kind: "KubeSchedulerConfiguration"}}
	if a.extender != nil {
		entry := handler.SchedulerEntry("http://"+at.calls, "nvidia.com/gpu")
		entry.Ignorable = false // a call that fails must not pass for a fast one
		entry.HTTPTimeout.Duration *= 10
		if a.everyPod {
			entry.ManagedResources = nil
		}
		scheduler.Extenders = []configv1.Extender{entry}
	}
	configuration, err := yaml.Marshal(scheduler)
	if err != nil {
		return err
	}
	pod := podTemplate
	if a.gpus {
		pod += "      limits: {nvidia.com/gpu: 1}\n"
	}
	for name, content := range map[string]string{
		"scheduler.yaml": string(configuration),
		"node.yaml":      nodeTemplate,
		"pod.yaml":       pod,
		"extender.yaml": fmt.Sprintf("apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nextender: {address: %q, metricsAddress: %q, healthAddress: %q, schedulerLease: \"\", deadline: 2s, drainSeconds: 0}\n",
			at.calls, at.metrics, at.health),
		"perf.yaml": fmt.Sprintf(perfTemplate, folder, nodes, pods),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

var nodeTemplate = `apiVersion: v1
kind: Node
metadata: {generateName: "node-", labels: {pool: gpu}}
status:
  capacity: &capacity {pods: "110", cpu: "96", memory: 768Gi, nvidia.com/gpu: "` + strconv.Itoa(gpusPerNode) + `"}
  allocatable: *capacity
  conditions: [{type: Ready, status: "True"}]
`

const podTemplate = `apiVersion: v1
kind: Pod
metadata: {generateName: "pod-"}
spec:
  containers:
  - name: main
    image: registry.k8s.io/pause:3.10
    resources:
      requests: {cpu: 100m, memory: 500Mi}
`

// perfTemplate has no proxy between API servers of different versions: once there is a CRD that keeps
// connections to itself open, for whose end scheduler_perf waits 90 s after each run.
const perfTemplate = `- name: Extender
  featureGates: {UnknownVersionInteroperabilityProxy: false}
  schedulerConfigPath: %[1]s/scheduler.yaml
  defaultPodTemplatePath: %[1]s/pod.yaml
  workloadTemplate:
  - {opcode: createNodes, countParam: $nodes, nodeTemplatePath: %[1]s/node.yaml}
  - {opcode: createPods, countParam: $pods, collectMetrics: true}
  workloads:
  - name: Run
    labels: [performance]
    params: {nodes: %[2]d, pods: %[3]d}
`
