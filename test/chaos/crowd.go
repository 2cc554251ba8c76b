package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// crowdNamespace holds the pods that only stand there.
	crowdNamespace = "crowd"
	// crowdGPU is what one pod in ten of them asks for: GPUs that the pool has not.
	crowdGPU = "amd.com/gpu"
	// crowdMost is how many pods a node of them takes.
	crowdMost = 100
	// crowdWriters make nodes and pods at once.
	crowdWriters = 16
	// standing bounds how long they take to run; with 50,000 pods KWOK writes as many statuses.
	standing = 20 * time.Minute
)

// crowd is what the cluster is full of beside what the load works on: nodes that KWOK keeps alive, and pods
// that run on them. Without nodes there is none.
type crowd struct {
	nodes, pods int
	say         func(string, ...any)
}

// leases has KWOK renew Leases less often where there is a crowd, and the controller manager wait for them:
// at the usual ten seconds 5,000 nodes would write 500 times a second.
func (c crowd) leases(options *cluster.Options) {
	if c.nodes > 0 {
		options.ExtraArgs[assets.KWOK] = []string{"--node-lease-duration-seconds=600"}
		options.ExtraArgs[assets.ControllerManager] = []string{"--node-monitor-grace-period=15m"}
	}
}

// make creates nodes, then pods on them, and waits until all pods run.
func (c crowd) make(ctx context.Context, on *cluster.Cluster) error {
	if c.nodes == 0 {
		return nil
	}
	c.say("making %d nodes and %d pods", c.nodes, c.pods)
	if err := on.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: crowdNamespace}}); err != nil {
		return err
	}
	if err := c.creates(ctx, on.Client, "nodes", c.nodes, func(i int) client.Object { return crowdNode(i) }); err != nil {
		return err
	}
	if err := c.creates(ctx, on.Client, "pods", c.pods, func(i int) client.Object { return crowdPod(i, i%c.nodes) }); err != nil {
		return err
	}
	told := time.Now()
	return cluster.Wait(ctx, standing, func() error {
		var pending corev1.PodList
		err := on.Client.List(ctx, &pending, client.InNamespace(crowdNamespace), client.MatchingFields{"status.phase": string(corev1.PodPending)}, client.Limit(1))
		if err != nil {
			return err
		}
		if len(pending.Items) == 0 {
			return nil
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			c.say("  waiting for pods to run; %s is the next", pending.Items[0].Name)
		}
		return fmt.Errorf("pod %s does not run yet", pending.Items[0].Name)
	})
}

// creates makes n objects by several writers, and says how far it is.
func (c crowd) creates(ctx context.Context, with client.Client, what string, n int, object func(int) client.Object) error {
	var next, done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range crowdWriters {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := with.Create(ctx, object(i)); err != nil {
					return fmt.Errorf("create %d of %d %s: %w", i+1, n, what, err)
				}
				if made := done.Add(1); made%5000 == 0 {
					c.say("  %d of %d %s", made, n, what)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// crowdNode is ready at once, and takes no pod but those that name it.
func crowdNode(i int) *corev1.Node {
	name := fmt.Sprint("crowd-", i)
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("96"), corev1.ResourceMemory: resource.MustParse("512Gi"), corev1.ResourcePods: resource.MustParse("110"), crowdGPU: *gpus(8),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", "role": "crowd"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "chaos/crowd", Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{
			Capacity: resources, Allocatable: resources, Phase: corev1.NodeRunning,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}},
		},
	}
}

// crowdPod is bound from the start, so that the scheduler does not have to place it.
func crowdPod(i, node int) *corev1.Pod {
	spec := podSpec(nil, "")
	spec.NodeName = fmt.Sprint("crowd-", node)
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	if i%10 == 0 {
		spec.Containers[0].Resources.Limits = corev1.ResourceList{crowdGPU: *gpus(1)}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: crowdNamespace, Name: fmt.Sprintf("pod-%05d", i)}, Spec: spec}
}
