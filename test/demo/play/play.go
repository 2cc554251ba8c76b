// Package play runs one arm of the demo: a control plane of its own, the same arrivals, and
// what then happened.
package play

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/stack"
)

// Arm is what stands between the arrivals and Karpenter.
type Arm string

// The arms.
const (
	Autoscaler Arm = "autoscaler"
	Forewarm   Arm = "forewarm"
	Constant   Arm = "constant"
)

// Options are what an arm needs.
type Options struct {
	Arm      Arm
	Workload arrivals.Workload
	// Factor is by how much time is compressed.
	Factor float64
	Times  Times
	// Placeholders is the number of the constant arm.
	Placeholders int
	// Root is the checkout, Binaries the folder of our programs.
	Root, Binaries string
	// Progress takes one line of text at least every few seconds.
	Progress func(string)
}

// Karpenter's batching windows. They are wall time and do not compress, so they are short.
const (
	BatchIdle = 200 * time.Millisecond
	BatchMax  = time.Second
)

// untold is how long jobs run that are yet to be told: longer than any arm takes.
const untold = 24 * time.Hour

// run is one arm being played.
type run struct {
	Options
	cluster *cluster.Cluster
	clients *kubernetes.Clientset
	ours    *stack.Stack // nil in other arms than Forewarm
	seen    *recorder
	phase   string

	mu   sync.Mutex
	jobs map[string]submitted
}

// Play runs the arm and cleans up, also when ctx ends early.
func Play(ctx context.Context, o Options) (m Measured, err error) {
	r := &run{Options: o, jobs: map[string]submitted{}, phase: "start"}
	o.Progress(fmt.Sprintf("%s: starting a control plane", o.Arm))
	stop, err := r.start(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return m, err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.tell(watching)
	if r.seen, err = record(watching, r.cluster, r.ours != nil); err != nil {
		return m, err
	}
	if err := r.prime(ctx); err != nil {
		return m, err
	}
	opened, err := r.warmUp(ctx)
	if err != nil {
		return m, err
	}
	closed := opened.Add(r.shrink(r.Workload.Window))
	before, err := r.cleared(ctx)
	if err != nil {
		return m, err
	}
	if err := r.window(ctx, opened, closed); err != nil {
		return m, err
	}
	after, err := r.cleared(ctx)
	if err != nil {
		return m, err
	}
	m = r.seen.measure(r.jobs, opened, closed, r.Factor, r.Times.Boot)
	m.Takeovers += after - before
	if o.Arm == Forewarm {
		m.CeilingMessage, err = r.ceiling(ctx)
	}
	return m, err
}

func (r *run) shrink(d time.Duration) time.Duration { return time.Duration(float64(d) / r.Factor) }

// start runs the control plane, and Forewarm where the arm has it. Nodes boot at once until
// the jobs that ran before are placed.
func (r *run) start(ctx context.Context) (stop func() error, err error) {
	stop = func() error { return nil }
	options := cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true,
		BatchIdle: BatchIdle, BatchMax: BatchMax,
		NodePools: []cluster.NodePool{{
			Name: poolName, DisruptionBudget: "100%",
			ConsolidateAfter: r.shrink(r.Times.ConsolidateAfter).Round(time.Second).String(),
		}},
	}
	if r.Arm == Forewarm {
		if r.ours, err = stack.New(); err != nil {
			return stop, err
		}
		options.SchedulerExtenders = append(options.SchedulerExtenders, r.ours.SchedulerExtender())
	}
	if options.Dir, err = os.MkdirTemp("", "forewarm-demo-"); err != nil {
		return stop, err
	}
	r.cluster, err = cluster.Start(ctx, options)
	stop = func() error {
		var err error
		if r.cluster != nil {
			err = r.cluster.Stop()
		}
		return errors.Join(err, os.RemoveAll(options.Dir))
	}
	if err != nil {
		return stop, err
	}
	restConfig := r.cluster.RESTConfig()
	restConfig.QPS = -1
	if r.clients, err = kubernetes.NewForConfig(restConfig); err != nil {
		return stop, err
	}
	if r.ours != nil {
		if err := r.ours.Start(ctx, r.cluster, r.Root, r.Binaries); err != nil {
			return stop, err
		}
	}
	return stop, r.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: jobNamespace}})
}

// cleared is how many placeholders the extender has deleted ahead of the scheduler, which nothing on
// them tells from those that the reserver releases.
func (r *run) cleared(ctx context.Context) (n int, err error) {
	if r.ours == nil {
		return 0, nil
	}
	for _, replica := range r.ours.Replicas {
		if replica.Kind != stack.Extender {
			continue
		}
		families, err := replica.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		for _, m := range families["forewarm_extender_placeholders_cleared_total"].GetMetric() {
			if m.GetLabel()[0].GetValue() == "ok" {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n, nil
}

// tell reports progress until ctx ends.
func (r *run) tell(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if r.seen == nil {
				continue
			}
			r.mu.Lock()
			phase, jobs := r.phase, len(r.jobs)
			r.mu.Unlock()
			c := r.seen.counts()
			r.Progress(fmt.Sprintf("%s: %s: %d jobs scored, %d pods run, %d wait; %d nodes; placeholders: %d hold, %d asked for",
				r.Arm, phase, jobs, c.running, c.waiting, c.nodes, c.held, c.asked))
		}
	}
}

func (r *run) enter(phase string) {
	r.mu.Lock()
	r.phase = phase
	r.mu.Unlock()
}

// prime starts the jobs that run when the pre-roll begins, the largest first, and waits for
// each size until all run: so every arm, and the simulation, begins with the nodes that
// these jobs fill, not with what a race between Karpenter and the scheduler left over.
func (r *run) prime(ctx context.Context) error {
	r.enter("placing the jobs that already run")
	bySize, left := map[int][]arrivals.Job{}, map[string]time.Duration{}
	for _, job := range r.Workload.RunningAt(-r.Times.PreRoll) {
		_, gpus := job.Pods()
		bySize[gpus] = append(bySize[gpus], job)
	}
	for _, size := range slices.Backward(slices.Sorted(maps.Keys(bySize))) {
		if err := r.place(ctx, size, bySize[size], left); err != nil {
			return fmt.Errorf("place the jobs that already run: %w", err)
		}
	}
	if err := r.tellEnds(ctx, left); err != nil {
		return fmt.Errorf("say how long the jobs that already run have left: %w", err)
	}
	c := r.seen.counts()
	r.Progress(fmt.Sprintf("%s: %d pods run on %d nodes", r.Arm, c.running, c.nodes))
	return r.setBoot(ctx)
}

// place starts jobs and waits until they run. It notes by name how long each has left.
func (r *run) place(ctx context.Context, size int, jobs []arrivals.Job, left map[string]time.Duration) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(16)
	before, pods := r.seen.counts().started, 0
	for i, job := range jobs {
		n, _ := job.Pods()
		pods += n
		name := fmt.Sprintf("before-%d-%05d", size, i)
		left[name] = r.shrink(job.Run)
		group.Go(func() error { return r.submit(within, name, job, untold) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return cluster.Wait(ctx, 3*time.Minute, func() error {
		if started := r.seen.counts().started - before; started < pods {
			return fmt.Errorf("%d of %d pods of %d GPUs have not started yet", pods-started, pods, size)
		}
		return nil
	})
}

// tellEnds has the placed jobs end when they have run what they have left, from now on, at which
// the simulation begins: placing takes half a minute of wall time, ten of compressed time.
func (r *run) tellEnds(ctx context.Context, left map[string]time.Duration) error {
	placed, err := r.clients.CoreV1().Pods(jobNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, pod := range placed.Items {
		run := left[pod.Labels[batchv1.JobNameLabel]].Round(time.Millisecond)
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, cluster.RunTimeAnnotation, run)
		group.Go(func() error {
			_, err := r.clients.CoreV1().Pods(jobNamespace).Patch(within, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		})
	}
	return group.Wait()
}

// setBoot makes nodes take their time from now on.
func (r *run) setBoot(ctx context.Context) error {
	class := &unstructured.Unstructured{}
	class.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.kwok.sh", Version: "v1alpha1", Kind: "KWOKNodeClass"})
	class.SetName("default")
	delay := r.shrink(r.Times.Boot).Round(time.Second)
	patch := fmt.Appendf(nil, `{"spec":{"nodeRegistrationDelay":%q}}`, delay.String())
	if err := r.cluster.Client.Patch(ctx, class, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("set the boot time of nodes: %w", err)
	}
	return nil
}

// submit creates one job that runs for so long, in wall time.
func (r *run) submit(ctx context.Context, name string, job arrivals.Job, run time.Duration) error {
	object := NewJob(name, jobNamespace, job, run)
	_, err := r.clients.BatchV1().Jobs(jobNamespace).Create(ctx, object, metav1.CreateOptions{})
	return err
}

// warmUp plays the pre-roll: placeholders are asked for, jobs arrive unscored. It returns
// when the window opens.
func (r *run) warmUp(ctx context.Context) (opened time.Time, err error) {
	r.enter("warming up")
	switch r.Arm {
	case Forewarm:
		err = r.seedAndPool(ctx, time.Now())
	case Constant:
		namespace, class, deployment := constantObjects(r.Placeholders)
		for _, object := range []client.Object{namespace, class, deployment} {
			err = errors.Join(err, r.cluster.Client.Create(ctx, object))
		}
	}
	if err != nil {
		return opened, fmt.Errorf("set the placeholders up: %w", err)
	}
	opened = time.Now().Add(r.shrink(r.Times.PreRoll))
	return opened, r.arrive(ctx, opened, r.Workload.Between(-r.Times.PreRoll, 0), nil)
}

// window plays the scored arrivals until the window closes.
func (r *run) window(ctx context.Context, opened, closed time.Time) error {
	r.enter("window")
	score := func(name string, job arrivals.Job, created time.Time) {
		pods, _ := job.Pods()
		r.mu.Lock()
		r.jobs[name] = submitted{created, pods}
		r.mu.Unlock()
	}
	if err := r.arrive(ctx, opened, r.Workload.Between(0, r.Workload.Window), score); err != nil {
		return err
	}
	return until(ctx, closed)
}

// arrive submits jobs at their times, whatever became of the earlier ones, and returns when
// the last is submitted and the pre-roll, if that is played, is over.
func (r *run) arrive(ctx context.Context, opened time.Time, jobs []arrivals.Job, score func(string, arrivals.Job, time.Time)) error {
	group, within := errgroup.WithContext(ctx)
	for i, job := range jobs {
		if err := until(within, opened.Add(r.shrink(job.At))); err != nil {
			break
		}
		name := fmt.Sprintf("warm-up-%05d", i)
		if score != nil {
			name = fmt.Sprintf("job-%05d", i)
		}
		group.Go(func() error {
			if score != nil {
				score(name, job, time.Now())
			}
			return r.submit(within, name, job, r.shrink(job.Run))
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("submit a job: %w", err)
	}
	return until(ctx, opened)
}

// until waits for a time.
func until(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
