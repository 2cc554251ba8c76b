package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Totals are counters that every write changes, so these arms store what they write. The peer is
// the API server's own counter: a ResourceQuota on the number of Deployments.
const (
	quota           = "resourcequota"
	totalsNamespace = "bench-totals"
	total           = writeName("total")
	countedMost     = 1_000_000
	// reviewsPerTotal: the entry of ceilings is asked, which fails open, and that of totals.
	reviewsPerTotal = 2
)

// counted is the creation of a Deployment in a Namespace with a total.
var counted = write{
	name: total, method: http.MethodPost, path: "/apis/apps/v1/namespaces/" + totalsNamespace + "/deployments",
	contentType: "application/json", body: countedBody(1), stored: true,
}

func countedBody(replicas int32) string {
	d := deployment()
	d.ObjectMeta = metav1.ObjectMeta{GenerateName: workload + "-", Namespace: totalsNamespace, Labels: d.Labels}
	d.TypeMeta, d.Spec.Replicas = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, new(replicas)
	body, err := json.Marshal(d)
	if err != nil {
		panic(err) // a constant
	}
	return string(body)
}

func (b *bench) totalArms() []arm {
	tooManyCounted := counted
	tooManyCounted.body, tooManyCounted.stored = countedBody(2*countedMost), false
	return []arm{
		{name: baseline, write: counted},
		{name: quota, write: counted, objects: []client.Object{deploymentQuota()}, effective: b.quotaCounts},
		{name: forewarm, write: counted, hook: b.hooks[forewarm], reviews: reviewsPerTotal, objects: b.registeredBy(true), effective: b.refused(tooManyCounted, "max-total-replicas")},
	}
}

// deploymentQuota has the status that the controller of quotas would write, which does not run.
func deploymentQuota() *corev1.ResourceQuota {
	const count = corev1.ResourceName("count/deployments.apps")
	hard := corev1.ResourceList{count: *resource.NewQuantity(countedMost, resource.DecimalSI)}
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: totalsNamespace, Name: "bench"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		Status: corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{count: *resource.NewQuantity(0, resource.DecimalSI)}},
	}
}

// quotaCounts says whether a write changes the quota.
func (b *bench) quotaCounts(ctx context.Context) (bool, error) {
	var used [2]int64
	for i := range used {
		o := deploymentQuota()
		err := b.cluster.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err != nil {
			return false, nil
		}
		for _, n := range o.Status.Used {
			used[i] = n.Value()
		}
		if i == 0 {
			if err := b.write(ctx, counted); err != nil {
				return false, err
			}
		}
	}
	return used[1] > used[0], nil
}

// clear deletes what the writes of an arm have stored.
func (b *bench) clear(ctx context.Context) error {
	if err := b.cluster.Client.DeleteAllOf(ctx, &appsv1.Deployment{}, client.InNamespace(totalsNamespace)); err != nil {
		return fmt.Errorf("delete what was written: %w", err)
	}
	return nil
}
