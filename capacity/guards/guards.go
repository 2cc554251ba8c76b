// Package guards keeps what bounds placeholder pods while no process of ours runs: their namespace,
// their PriorityClasses, and the ResourceQuota on them.
package guards

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/placeholder"
)

// lookAgain is how long it is taken for granted that they still are as they were seen.
const lookAgain = 30 * time.Second

// Guards makes and keeps them. It is not for concurrent use.
type Guards struct {
	live      client.Reader
	writer    client.Client
	namespace string
	priority  int32
	// seen is when all of them were there, for which tiers, and quota what the ResourceQuota said then.
	seen  time.Time
	tiers []int32
	quota corev1.ResourceList
}

// New makes Guards of placeholder pods in a namespace, with a priority for those of tier 0.
func New(live client.Reader, writer client.Client, namespace string, priority int32) *Guards {
	return &Guards{live: live, writer: writer, namespace: namespace, priority: priority}
}

// Ensure makes the namespace and the PriorityClasses of the placeholder pods where they are missing,
// one for each tier that there is, and keeps the ResourceQuota that bounds them without us. What somebody deletes or changes is put
// back within lookAgain. A PriorityClass whose value differs is left alone and refused: its value
// cannot be changed, and another priority could evict real work. standing are the placeholders by pool.
func (g *Guards) Ensure(ctx context.Context, pools []*v1alpha1.WarmPool, standing map[string][]*corev1.Pod, now time.Time) error {
	hard, tiers := quotaOf(pools, standing), tiersOf(pools)
	if now.Sub(g.seen) < lookAgain && slices.Equal(g.tiers, tiers) && equality.Semantic.DeepEqual(g.quota, hard) {
		return nil
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   g.namespace,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := createIfMissing(ctx, g.live, g.writer, namespace); err != nil {
		return err
	}
	for _, tier := range tiers {
		if err := g.ensureClass(ctx, tier); err != nil {
			return err
		}
	}
	if err := g.ensureQuota(ctx, hard); err != nil {
		return err
	}
	g.seen, g.tiers, g.quota = now, tiers, hard
	return nil
}

func (g *Guards) ensureClass(ctx context.Context, tier int32) error {
	value := v1alpha1.PlaceholderPriority(g.priority, tier)
	class := &schedulingv1.PriorityClass{
		ObjectMeta:       metav1.ObjectMeta{Name: v1alpha1.PlaceholderClass(tier)},
		Value:            value,
		PreemptionPolicy: ptr.To(corev1.PreemptNever),
		Description:      "Placeholder pods of Forewarm: they hold capacity until a real pod takes it.",
	}
	if err := createIfMissing(ctx, g.live, g.writer, class); err != nil {
		return err
	}
	if class.Value != value {
		return fmt.Errorf("PriorityClass %s has value %d, by reserver.priority in the configuration it is %d: delete the class, or change reserver.priority by the difference",
			class.Name, class.Value, value)
	}
	return nil
}

// tiersOf are the tiers of the pools that act, and tier 0, in order.
func tiersOf(pools []*v1alpha1.WarmPool) []int32 {
	tiers := []int32{0}
	for _, pool := range pools {
		if pool.Spec.Mode.Acts() {
			for i := range pool.Spec.Chunks {
				tiers = append(tiers, pool.Spec.Chunks[i].Tier)
			}
		}
	}
	slices.Sort(tiers)
	return slices.Compact(tiers)
}

// quotaOf is what the placeholders of all pools that act may hold at most, and what still stands for the
// others: the quota counts that too, and would refuse those that act as much.
func quotaOf(pools []*v1alpha1.WarmPool, standing map[string][]*corev1.Pod) corev1.ResourceList {
	hard, act := corev1.ResourceList{}, map[string]bool{}
	add := func(pods int64, requests corev1.ResourceList) {
		sum := hard[corev1.ResourcePods]
		sum.Add(*resource.NewQuantity(pods, resource.DecimalSI))
		hard[corev1.ResourcePods] = sum
		for name, amount := range requests {
			amount = amount.DeepCopy()
			amount.Mul(pods)
			of := corev1.ResourceName(corev1.DefaultResourceRequestsPrefix + string(name))
			sum := hard[of]
			sum.Add(amount)
			hard[of] = sum
		}
	}
	add(0, nil)
	for _, pool := range pools {
		if act[pool.Name] = pool.Spec.Mode.Acts(); !act[pool.Name] {
			continue
		}
		for _, chunk := range pool.Spec.Chunks {
			add(int64(chunk.Max), chunk.Requests)
		}
	}
	for pool, pods := range standing {
		for _, pod := range pods {
			if !act[pool] && !placeholder.Terminal(pod) && len(pod.Spec.Containers) == 1 {
				add(1, pod.Spec.Containers[0].Resources.Requests)
			}
		}
	}
	return hard
}

// quotaWait is how long a changed quota may take to be in force; until then the API server
// refuses new placeholders.
const quotaWait = 3 * time.Second

// ensureQuota keeps the quota of the placeholders' PriorityClasses, and waits until a change of it
// is in force.
func (g *Guards) ensureQuota(ctx context.Context, hard corev1.ResourceList) error {
	scope := &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
		ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: v1alpha1.PlaceholderClasses(),
	}}}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: g.namespace, Name: v1alpha1.PlaceholderPriorityClass}}
	err := g.live.Get(ctx, client.ObjectKeyFromObject(quota), quota)
	switch before := quota.DeepCopy(); {
	case apierrors.IsNotFound(err):
		quota.Spec = corev1.ResourceQuotaSpec{Hard: hard, ScopeSelector: scope}
		err = g.writer.Create(ctx, quota)
	case err == nil && (!equality.Semantic.DeepEqual(quota.Spec.Hard, hard) || !equality.Semantic.DeepEqual(quota.Spec.ScopeSelector, scope)):
		quota.Spec.Hard, quota.Spec.ScopeSelector = hard, scope
		err = g.writer.Patch(ctx, quota, client.MergeFrom(before))
	}
	if err != nil {
		return fmt.Errorf("ResourceQuota %s: %w", v1alpha1.PlaceholderPriorityClass, err)
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, quotaWait, true, func(ctx context.Context) (bool, error) {
		quota = &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: quota.Namespace, Name: quota.Name}}
		err := g.live.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		return err == nil && equality.Semantic.DeepEqual(quota.Status.Hard, hard), err
	})
	if err != nil {
		return fmt.Errorf("ResourceQuota %s/%s is not in force yet (does kube-controller-manager run?): %w", quota.Namespace, quota.Name, err)
	}
	return nil
}

// createIfMissing reads the object into place, or creates it.
func createIfMissing(ctx context.Context, live client.Reader, writer client.Client, object client.Object) error {
	err := live.Get(ctx, client.ObjectKeyFromObject(object), object)
	if apierrors.IsNotFound(err) {
		err = writer.Create(ctx, object)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", object.GetName(), err)
	}
	return nil
}
