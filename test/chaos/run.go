package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/internal/config"
	"forewarm.dev/test/chaos/clock"
	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/chaos/schedule"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/cluster/relay"
	"forewarm.dev/test/demo/stack"
)

const (
	// deadline is what an aged placeholder has left, and slack how long it may stand after.
	deadline, slack = 60 * time.Second, 60 * time.Second
	// kept is how many Decisions are kept of a pool, which is the most that can be.
	kept = 2000
	// boot is from Karpenter's decision to the node.
	boot = 2 * time.Second
)

// chaos is one run.
type chaos struct {
	settings
	started time.Time
	*injector
	prober *prober
	load   *load
	result *result
	failed chan error
	told   int
	claims *invariant.Claims
	work   *invariant.Instead
	away   spans
}

// run is the whole of it: set up, let the schedule run under load, judge.
func run(ctx context.Context, s settings) error {
	r := &chaos{settings: s, started: time.Now(), failed: make(chan error, 9), result: &result{Seed: s.seed, Nodes: s.crowd.nodes, Pods: s.crowd.pods, Faults: map[string]*recoveries{}}}
	apart, err := relay.New()
	if err != nil {
		return err
	}
	defer apart.Close()
	c, err := r.setUp(ctx, apart)
	if c != nil {
		defer func() { _ = c.Stop() }()
	}
	if err != nil {
		return err
	}
	if err := r.rage(ctx); err != nil {
		return err
	}
	return r.judge(ctx)
}

// say prints a line of progress.
func (r *chaos) say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, args...))
}

// setUp starts the control plane and all processes, and what they work on.
func (r *chaos) setUp(ctx context.Context, apart *relay.Relay) (*cluster.Cluster, error) {
	store, err := assets.Open()
	if err != nil {
		return nil, err
	}
	ours, err := stack.NewWith(stack.Options{
		Webhooks: 2, Reservers: 2, Console: true, APIServer: apart.Port(),
		Customize: func(c *config.Config) { c.Reserver.Decisions.Keep = kept },
	})
	if err != nil {
		return nil, err
	}
	binaries, err := r.build(ctx, store.Root)
	if err != nil {
		return nil, err
	}
	r.say("starting the control plane")
	c, err := r.controlPlane(ctx, ours)
	if err != nil {
		return nil, err
	}
	port, err := portOf(c.RESTConfig().Host)
	if err != nil {
		return c, err
	}
	apart.SetPorts(port)
	r.injector = &injector{relay: apart}
	if r.clockFiles, err = newClocks(ours, r.folder); err != nil {
		return c, err
	}
	r.crowd.say = r.say
	if err := r.crowd.make(ctx, c); err != nil {
		return c, err
	}
	r.say("starting two webhooks, the extender, two reservers and the console")
	if err := ours.Start(ctx, c, store.Root, binaries); err != nil {
		return c, err
	}
	return c, r.prepare(ctx, c, ours)
}

// build builds the processes of ours.
func (r *chaos) build(ctx context.Context, root string) (string, error) {
	into := filepath.Join(r.folder, "bin")
	if !r.clocks {
		return into, cluster.BuildBinaries(ctx, into)
	}
	r.say("building processes whose clocks can jump")
	return into, clock.Build(ctx, root, into, stack.Webhook, stack.Extender, stack.Reserver, stack.Console)
}

func (r *chaos) controlPlane(ctx context.Context, ours *stack.Stack) (*cluster.Cluster, error) {
	policy := filepath.Join(r.folder, "chaos-audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	options := cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, Dir: r.folder,
		NodeBootDelay: boot, BatchIdle: 200 * time.Millisecond, BatchMax: time.Second,
		NodePools: []cluster.NodePool{
			{Name: poolName, Labels: poolNodes(), ConsolidateAfter: "Never", Limits: corev1.ResourceList{cluster.GPU: *gpus(8 * gpuNodes)}},
			{Name: fewPool, ConsolidateAfter: "Never", Taints: []corev1.Taint{{Key: "chaos/few", Effect: corev1.TaintEffectNoSchedule}}},
		},
		StaticNodes:        []cluster.NodeTemplate{{Name: "plain", Count: 2, Labels: map[string]string{"role": "plain"}, GPUs: 64}},
		SchedulerExtenders: []configv1.Extender{ours.SchedulerExtender()},
		AuditLog:           filepath.Join(r.folder, "audit.log"),
		ExtraArgs:          map[string][]string{assets.APIServer: {"--audit-policy-file=" + policy, "--audit-log-maxsize=100000"}},
	}
	r.crowd.leases(&options)
	return cluster.Start(ctx, options)
}

func portOf(server string) (int, error) {
	u, err := url.Parse(server)
	if err != nil {
		return 0, fmt.Errorf("find the API server's port: %w", err)
	}
	return strconv.Atoi(u.Port())
}

// prepare opens the journal and makes what the load works on.
func (r *chaos) prepare(ctx context.Context, c *cluster.Cluster, ours *stack.Stack) error {
	r.claims, r.work = invariant.MaxNodes(fewPool, fewMost), invariant.WorkInstead(cheapClass)
	j, err := openJournal(strings.TrimSuffix(c.EndpointOf(assets.Etcd).Health, "/health"), r.checkers())
	if err != nil {
		return err
	}
	j.excused = func(v invariant.Violation) bool { return v.Invariant == r.work.Name() && r.away.held(v.At) }
	if err := j.follow(ctx, r.failed); err != nil {
		return err
	}
	r.supervisor = newSupervisor(c, ours, j)
	r.prober = &prober{supervisor: r.supervisor}
	if r.load, err = newLoad(c, r.seed, r.pause); err != nil {
		return err
	}
	for name, annotations := range namespaces() {
		if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}); err != nil {
			return err
		}
	}
	for _, object := range append(real(), pool()) {
		if err := c.Client.Create(ctx, object); err != nil {
			return err
		}
	}
	return r.inForce(ctx)
}

// checkers are all that look at each change.
func (r *chaos) checkers() []invariant.Checker {
	return []invariant.Checker{
		invariant.MaxReplicas(ceilings()), invariant.Totals(ceilings()), invariant.GPUs(ceilings()), r.claims,
		invariant.Evictions(cheapClass), r.work, invariant.Deadlines(slack), invariant.Decisions(kept),
	}
}

// inForce waits until all is held that the load runs up against.
func (r *chaos) inForce(ctx context.Context) error {
	if err := r.boundNodes(ctx); err != nil {
		return err
	}
	for namespace, kind := range map[string]string{heldNamespace: "a ceiling", countedNamespace: "a total", gpuNamespace: "a total of GPUs"} {
		if err := cluster.Wait(ctx, recovery, func() error {
			object := workload(target{kind: "Deployment", namespace: namespace, name: "probe", gpus: 1}, 100)
			if outcome(r.cluster.Client.Create(ctx, object, client.DryRunAll)) != "denied" {
				return fmt.Errorf("%s of Namespace %s is not in force", kind, namespace)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return cluster.Wait(ctx, recovery, func() error {
		if n := r.journal.done().Ungated; n < 8 {
			return fmt.Errorf("%d placeholders are ungated, want eight", n)
		}
		return nil
	})
}

// rage lets the schedule run under load for as long as is asked.
func (r *chaos) rage(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go r.supervise(ctx, r.failed)
	go r.load.run(ctx)
	go r.load.submit(ctx)
	go r.watch(ctx)
	chosen := matching(faults(r.clocks), r.only)
	if len(chosen) == 0 {
		return fmt.Errorf("no fault holds %q", r.only)
	}
	r.say("load runs; %d faults to choose from, seed %d", len(chosen), r.seed)
	r.prober.recovered(ctx, time.Now(), "the start")
	for plan, end := schedule.New(r.seed, chosen), time.Now().Add(r.duration); time.Now().Before(end); {
		if err := r.step(ctx, plan.Next()); err != nil {
			return err
		}
	}
	r.result.Seconds = time.Since(r.started).Seconds()
	return nil
}

// step rests, injects, and waits until all works again.
func (r *chaos) step(ctx context.Context, step schedule.Step) error {
	last(ctx, step.Rest)
	r.say("%s", step)
	if slices.ContainsFunc(step.Acts, blinds) {
		r.away.begin(time.Now())
		defer func() { r.away.end(time.Now().Add(lasts(step))) }()
	}
	acts := make(chan error, len(step.Acts))
	for _, a := range step.Acts {
		go func() { acts <- r.inject(ctx, a) }()
	}
	for range step.Acts {
		if err := <-acts; err != nil {
			r.say("not injected whole: %v", err)
		}
	}
	took := r.prober.recovered(ctx, time.Now(), step.String())
	if len(step.Acts) == 1 {
		r.result.recovered(step.Acts[0].String(), took)
	} else {
		r.result.recovered("two at once", took)
	}
	done, writes := r.journal.done(), r.load.written()
	r.say("  all works %.1f s later; %d writes made, %d denied, %d takeovers, %d Decisions", took.Seconds(), writes["ok"], writes["denied"], done.Takeovers, done.Decisions)
	r.tell()
	select {
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		return errors.New("interrupted")
	default:
		return nil
	}
}

// watch looks at what time breaks and at what processes count, until ctx ends.
func (r *chaos) watch(ctx context.Context) {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.journal.look(time.Now())
		r.measure()
		r.countCycles(ctx)
		_ = r.count(ctx) // while the API server is away, it counts nothing
	}
}

// tell prints the violations that have not been told yet, with what happened around them.
func (r *chaos) tell() {
	found := r.journal.violations(r.told)
	r.told += len(found)
	for _, v := range found[:min(len(found), 20)] {
		r.say("BROKEN %s: %s (revision %d, %s)", v.Invariant, v.Says, v.Revision, v.At.Format("15:04:05.000"))
		for _, text := range r.journal.context(v) {
			fmt.Printf("            %s\n", text)
		}
	}
}

// judge looks at what only the whole run can tell, and prints the result.
func (r *chaos) judge(ctx context.Context) error {
	if err := r.count(ctx); err != nil {
		return err
	}
	asked, err := requests(filepath.Join(r.folder, "audit.log"))
	if err != nil {
		return err
	}
	r.journal.add(invariant.Unseen(asked, mustShow)...)
	r.journal.add(invariant.Uncounted(asked, r.lives)...)
	last(ctx, invariant.Taken) // so that who was told to go last is judged too
	r.journal.look(time.Now())
	var above []invariant.Violation
	r.journal.locked(func() {
		above = r.claims.Exceeded(asked, buys)
		r.result.Beside, r.result.AboveNodes = r.work.Beside(), r.claims.Passed()
	})
	r.journal.add(above...)
	r.journal.add(r.panics()...)
	r.journal.add(r.unasked()...)
	r.tell()
	for _, q := range asked {
		if strings.HasPrefix(q.ID, mustShow) && q.Code >= 200 && q.Code < 300 {
			r.result.Shown++
		}
		if q.FailedOpen() {
			r.result.FailedOpen++
		}
	}
	r.result.Writes, r.result.counts, r.result.EndedThemselves, r.result.ClockJumps = r.load.written(), r.journal.done(), r.ends, r.jumps
	r.result.Denied = r.load.refused()
	r.result.PeakMiB = map[string]int64{}
	for kind, bytes := range r.memory {
		r.result.PeakMiB[kind] = bytes >> 20
	}
	r.result.Cycles = r.cycles
	r.result.judge(r.invariants(), r.journal.violations(0))
	if err := r.result.print(os.Stdout); err != nil {
		return err
	}
	return r.result.err()
}

// invariants are the names of all that a run is held to.
func (r *chaos) invariants() []string {
	names := []string{invariant.OpenName, "no-process-panics", endsName, "everything-recovers"}
	for _, checker := range r.checkers() {
		names = append(names, checker.Name())
	}
	return names
}
