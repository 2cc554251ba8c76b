package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/chaos/clock"
	"forewarm.dev/test/chaos/schedule"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/cluster/relay"
	"forewarm.dev/test/demo/stack"
)

// network is what lies between our processes and the API server.
const network = "network"

// faults are all that a run injects. Targets of one component share what is before the slash.
func faults(clocks bool) []schedule.Fault {
	var all []schedule.Fault
	add := func(name string, least, most time.Duration, targets ...string) {
		for _, t := range targets {
			all = append(all, schedule.Fault{Name: name, Target: t, Least: least, Most: most})
		}
	}
	second := time.Second
	// Killed with SIGKILL, and down for so long.
	add("kill", 0, 5*second, "webhook/leader", "webhook/follower", "reserver/leader", "reserver/follower", stack.Extender, stack.Console, assets.APIServer, assets.Etcd,
		assets.Scheduler, assets.ControllerManager, assets.KWOK, assets.Karpenter)
	add("kill", 3*second, 10*second, "webhook/all", "reserver/all")
	// Stopped with SIGSTOP: slow, hung, and for longer than a Lease, a lost leader.
	add("freeze", 3*second, 8*second, "webhook/follower", "webhook/all", stack.Extender, stack.Console, assets.APIServer, assets.Etcd, assets.Scheduler)
	add("freeze", 18*second, 22*second, "webhook/leader", "reserver/leader")
	// The network between our processes and the API server.
	add("slow", 5*second, 15*second, network)
	add("cut", 2*second, 8*second, network)
	add("refuse", 5*second, 25*second, network)
	add("hang", 5*second, 25*second, network)
	add("rotate", 0, 0, "webhook/certificates")
	add("age", 0, 0, "placeholders")
	if clocks {
		add("clock +1h", 8*second, 12*second, "webhook/leader", "reserver/leader")
		add("clock -1h", 8*second, 12*second, "webhook/leader", "reserver/leader")
		add("clock +26h", 8*second, 12*second, "reserver/leader")
	}
	return all
}

// matching are the faults whose name and target hold a text.
func matching(all []schedule.Fault, text string) []schedule.Fault {
	return slices.DeleteFunc(all, func(f schedule.Fault) bool { return !strings.Contains(f.String(), text) })
}

// injector does what the schedule says.
type injector struct {
	*supervisor
	relay *relay.Relay // before the API server, for our processes
	// clocks are the files by which the clocks of our processes are set.
	clockFiles map[string]string
}

// inject does an act, returns when it has lasted, and has undone it then.
func (i *injector) inject(ctx context.Context, a schedule.Act) error {
	name, _, _ := strings.Cut(a.Name, " ")
	switch name {
	case "kill":
		return i.processes(ctx, a, i.kill, i.release)
	case "freeze":
		return i.processes(ctx, a, i.each((*cluster.Process).Pause), i.each((*cluster.Process).Resume))
	case "clock":
		return i.jump(ctx, a)
	case "rotate":
		return i.rotate(ctx)
	case "age":
		return i.age(ctx)
	default:
		return i.network(ctx, a)
	}
}

// processes does something to those that a target names, and undoes it.
func (i *injector) processes(ctx context.Context, a schedule.Act, do, undo func(...string)) error {
	names, err := i.named(ctx, a.Target)
	if err != nil {
		return err
	}
	do(names...)
	defer undo(names...)
	last(ctx, a.For)
	return nil
}

func (i *injector) each(do func(*cluster.Process)) func(...string) {
	return func(names ...string) {
		for _, name := range names {
			do(i.process(name))
		}
	}
}

// last waits as long as a fault lasts.
func last(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// named are the processes that a target stands for: KIND/leader, KIND/follower, KIND/all, or one.
func (i *injector) named(ctx context.Context, target string) ([]string, error) {
	kind, which, several := strings.Cut(target, "/")
	if !several {
		return []string{target}, nil
	}
	var all, followers []string
	leads := ""
	if which != "all" {
		leader, err := i.leader(ctx, kind)
		if err != nil {
			return nil, err
		}
		leads = leader.Name
	}
	for _, r := range i.stack.Replicas {
		if r.Kind == kind {
			all = append(all, r.Name)
			if r.Name != leads {
				followers = append(followers, r.Name)
			}
		}
	}
	switch which {
	case "all":
		return all, nil
	case "leader":
		return []string{leads}, nil
	default:
		return followers[:1], nil
	}
}

// network has our processes find the API server slow, gone, or hanging, or lose every watch.
func (i *injector) network(ctx context.Context, a schedule.Act) error {
	defer i.relay.Pass()
	switch a.Name {
	case "slow":
		i.relay.Delay(400 * time.Millisecond)
	case "refuse":
		i.relay.Refuse()
	case "hang":
		i.relay.Hold()
	case "cut":
		for end := time.Now().Add(a.For); time.Now().Before(end) && ctx.Err() == nil; {
			i.relay.Cut()
			last(ctx, time.Second)
		}
		return nil
	}
	last(ctx, a.For)
	if a.Name == "hang" {
		i.relay.Cut() // what was held up must not arrive as if it were of now
	}
	return nil
}

// rotate has the webhook make a new CA.
func (i *injector) rotate(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "forewarm-webhook-ca"}}
	return client.IgnoreNotFound(i.cluster.Client.Delete(ctx, secret))
}

// age has some placeholders near their deadline, as if they had stood for a day.
func (i *injector) age(ctx context.Context) error {
	var pods corev1.PodList
	if err := i.cluster.Client.List(ctx, &pods, client.InNamespace(v1alpha1.PlaceholderNamespace)); err != nil {
		return err
	}
	aged := 0
	for n := range pods.Items {
		pod := &pods.Items[n]
		if pod.Status.StartTime == nil || aged == 2 {
			continue
		}
		ends := int64(time.Since(pod.Status.StartTime.Time).Seconds()) + int64(deadline.Seconds())
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"activeDeadlineSeconds":%d}}`, ends))
		if err := i.cluster.Client.Patch(ctx, pod, patch); client.IgnoreNotFound(err) != nil {
			return err
		}
		aged++
	}
	return nil
}

// jump sets the clock of a process, and shows by its Lease that it went by it.
func (i *injector) jump(ctx context.Context, a schedule.Act) error {
	names, err := i.named(ctx, a.Target)
	if err != nil {
		return err
	}
	_, text, _ := strings.Cut(a.Name, " ")
	ahead, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	path := i.clockFiles[names[0]]
	if err := clock.Set(path, ahead); err != nil {
		return err
	}
	defer func() { _ = clock.Set(path, 0) }()
	last(ctx, a.For)
	kind, _, _ := strings.Cut(a.Target, "/")
	lease := &coordinationv1.Lease{}
	if err := i.cluster.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "forewarm-" + kind}, lease); err != nil {
		return err
	}
	if off := time.Until(lease.Spec.RenewTime.Time); (off - ahead).Abs() < ahead.Abs()/2 {
		i.jumped()
	}
	return nil
}

// newClocks gives each process of ours a clock of its own.
func newClocks(s *stack.Stack, folder string) (map[string]string, error) {
	files := map[string]string{}
	for _, r := range s.Replicas {
		files[r.Name] = filepath.Join(folder, "clock-"+r.Name)
		if err := clock.Set(files[r.Name], 0); err != nil {
			return nil, err
		}
		r.Env = append(r.Env, clock.Env+"="+files[r.Name])
	}
	return files, nil
}
