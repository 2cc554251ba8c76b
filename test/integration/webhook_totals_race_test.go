package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// raceWriters is how many write at once, for one total or another: more than there is room for in any.
	raceWriters = 200
	// raceRoom is how many objects of one replica each have room under a total.
	raceRoom = 40
)

// race is a total that many write for at once.
type race struct {
	ledger string
	total  int64
	// each is what one of the objects adds that are made one by one.
	each int64
	// sum is what there is.
	sum func() int64
	// write is what a writer writes, and more makes one object more.
	write, more func(i int) error
	// refused is a part of what the refusal of more says in the end, and settled what the ledger then counts.
	refused string
	settled v1alpha1.LedgerAmounts
	// open says whether what no webhook answers is let through.
	open bool

	denied, failed atomic.Int64
}

// totalsRace: no sum is ever above its total, and each ends at it. NodeClaims are let through where no webhook answers, so
// that of those there may be as many more as the API server says that it has let through. They race by themselves: among
// 200 writers on two cores none of them would get an answer in time.
func totalsRace(t *testing.T, e *totalsEnv) {
	raceUnderKills(t, e, raceWriters, raceOfReplicas(t, e), raceOfGPUs(t, e))
	raceUnderKills(t, e, raceWriters/3, raceOfNodes(t, e))
}

// raceUnderKills has so many write at once, and kills two replicas meanwhile.
func raceUnderKills(t *testing.T, e *totalsEnv, many int, races ...*race) {
	t.Helper()
	opened := raceOpened(t, e)
	var finished atomic.Int64
	var writers sync.WaitGroup
	for _, r := range races {
		for i := range many / len(races) {
			writers.Go(func() {
				defer finished.Add(1)
				r.run(t, i)
			})
		}
	}
	// The second is another one, so that the one that leads may be among them, and one serves.
	first := rand.IntN(len(e.replicas))
	kills := []int{first, (first + 1 + rand.IntN(len(e.replicas)-1)) % len(e.replicas)}
	all := int64(many / len(races) * len(races))
	for killed := 0; finished.Load() < all; {
		for _, r := range races {
			r.holds(t, e, opened)
		}
		if done := finished.Load(); killed < len(kills) && done >= all*int64(15+30*killed)/100 {
			i := kills[killed]
			killed++
			e.replicas[i].Kill()
			t.Logf("killed replica %d after %d writers", i, done)
			e.replicas[i] = e.run(t, fmt.Sprintf("webhook-%d-again", i), e.balancer.Ports()[i], "")
		}
	}
	writers.Wait()
	for _, i := range kills {
		e.await(t, e.replicas[i])
	}
	for _, r := range races {
		r.ends(t, e, opened)
	}
}

// run writes until that is let in or refused.
func (r *race) run(t *testing.T, i int) {
	for {
		err := r.write(i)
		switch {
		case err == nil:
			return
		case apierrors.IsForbidden(err):
			r.denied.Add(1)
			return
		case unanswered(err), apierrors.IsConflict(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
			r.failed.Add(1)
		case apierrors.IsAlreadyExists(err): // by the try before, of which nobody told
			return
		default:
			t.Errorf("%s, writer %d: %v", r.ledger, i, err)
			return
		}
	}
}

// holds fails where more stands than the total allows, and was let through without an answer.
func (r *race) holds(t *testing.T, e *totalsEnv, opened float64) {
	t.Helper()
	n, most := r.sum(), r.total
	if r.open && n > most {
		most += int64(raceOpened(t, e) - opened) // asked for behind the sum, so that it is no less
	}
	if n > most {
		t.Fatalf("%s: %d stand, at most %d allowed", r.ledger, n, most)
	}
}

// ends fills the total, to which what was let in for writes that failed comes back, and has one more refused.
func (r *race) ends(t *testing.T, e *totalsEnv, opened float64) {
	t.Helper()
	r.holds(t, e, opened)
	reached := r.sum()
	t.Logf("%s: %d of %d, %d writes denied, %d failed and tried again", r.ledger, reached, r.total, r.denied.Load(), r.failed.Load())
	next := 0
	cluster.Eventually(t, 2*webhookWait, func() error {
		for reached < r.total {
			if err := r.more(next); err != nil {
				return err
			}
			next, reached = next+1, reached+r.each
		}
		return nil
	})
	if n := r.sum(); n != reached {
		t.Errorf("%s: %d stand in the end, want %d", r.ledger, n, reached)
	}
	if reached > r.total { // only what is let through without an answer
		r.settled.Nodes = reached
		r.refused = fmt.Sprintf("%d used by others", reached)
	}
	e.settled(t, r.ledger, r.settled)
	if err := webhookDenied(r.more(next), r.refused); err != nil {
		t.Errorf("%s: %v", r.ledger, err)
	}
}

// raceOpened is how many NodeClaims the API server has let through without an answer.
func raceOpened(t *testing.T, e *totalsEnv) float64 {
	t.Helper()
	n := 0.0
	for _, m := range metricsOf(t, e.HTTPClient(), e.EndpointOf(assets.APIServer).Metrics)["apiserver_admission_webhook_fail_open_count"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "name" && l.GetValue() == "nodeclaims.ceilings.forewarm.dev" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func raceOfReplicas(t *testing.T, e *totalsEnv) *race {
	return raceOfDeployments(t, e, "race", totalReplicas, 0)
}

func raceOfGPUs(t *testing.T, e *totalsEnv) *race {
	return raceOfDeployments(t, e, "race-gpus", totalGPUs, 2)
}

// raceOfDeployments is the total of a Namespace: half of the writers create, half scale what others scale too.
func raceOfDeployments(t *testing.T, e *totalsEnv, namespace, annotation string, gpus int64) *race {
	t.Helper()
	const shared = 10
	each := max(gpus, 1)
	total := raceRoom * each
	e.counting(t, namespace, map[string]string{annotation: fmt.Sprint(total)})
	ctx := t.Context()
	of := func(name string, replicas int64) *unstructured.Unstructured {
		o := webhookWorkload("Deployment", namespace, name, replicas, "")
		if gpus > 0 {
			o = totalsWithGPUs(namespace, name, int(gpus))
			_ = unstructured.SetNestedField(o.Object, replicas, "spec", "replicas")
		}
		return o
	}
	for i := range shared {
		if err := e.Client.Create(ctx, of(fmt.Sprintf("shared-%d", i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	r := &race{ledger: "namespace." + namespace, total: total, each: each, refused: fmt.Sprintf("%d used by others", total)}
	r.settled = v1alpha1.LedgerAmounts{Replicas: raceRoom}
	r.settled.GPUs = r.settled.Replicas * gpus
	r.sum = func() int64 {
		var list appsv1.DeploymentList
		if err := e.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for _, d := range list.Items {
			n += int64(*d.Spec.Replicas)
		}
		return n * each
	}
	r.write = func(i int) error {
		if i%2 == 0 {
			return e.Client.Create(ctx, of(fmt.Sprintf("own-%d", i), 1))
		}
		return webhookScale(ctx, e.Client, of(fmt.Sprintf("shared-%d", i/2%shared), 0), int64(1+i/2/shared))
	}
	r.more = func(i int) error { return e.Client.Create(ctx, of(fmt.Sprintf("rest-%d", i), 1)) }
	return r
}

// raceOfNodes is the total of a NodePool.
func raceOfNodes(t *testing.T, e *totalsEnv) *race {
	t.Helper()
	const total = raceRoom
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, filepath.Join("..", "bypass", "testdata", "crds", "karpenter.sh.yaml"), "testdata/nodeclaims.yaml"); err != nil {
		t.Fatal(err)
	}
	pool := twinObject(t, fmt.Sprintf("{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: race, annotations: {forewarm.dev/max-nodes: '%d'}}}", total))
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, pool.DeepCopy()) })
	e.settled(t, "nodepool.race", v1alpha1.LedgerAmounts{})
	create := func(ctx context.Context, name string) error {
		return e.Client.Create(ctx, twinObject(t, fmt.Sprintf("{apiVersion: karpenter.sh/v1, kind: NodeClaim, metadata: {name: %s, labels: {karpenter.sh/nodepool: race}}}", name)))
	}
	return &race{
		ledger: "nodepool.race", total: total, each: 1, open: true, refused: fmt.Sprintf("%d used by others", total), settled: v1alpha1.LedgerAmounts{Nodes: total},
		sum:   func() int64 { return int64(e.claims(t, "race")) },
		write: func(i int) error { return create(ctx, fmt.Sprintf("race-own-%d", i)) },
		more:  func(i int) error { return create(ctx, fmt.Sprintf("race-rest-%d", i)) },
	}
}
