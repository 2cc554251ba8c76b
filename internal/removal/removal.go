// Package removal takes out of a cluster what Forewarm's processes have written into it, so that an
// uninstall leaves nothing that an installer does not know.
package removal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"forewarm.dev/api/v1alpha1"
)

const (
	// writers selects the pods of the processes that write into the cluster by themselves.
	writers = "app.kubernetes.io/name in (forewarm-webhook, forewarm-reserver, forewarm-scheduler)"
	// grace is how long they may take to end: nobody asks them for reviews any more.
	grace = int64(10)
	// patience is how long it is waited for their end.
	patience = 3 * time.Minute
)

// Remover removes it. Forewarm must be out of admission already, and stay out meanwhile.
type Remover struct {
	Client  kubernetes.Interface
	Objects dynamic.Interface
	// Namespace is Forewarm's own.
	Namespace string
	// Output is told of everything that goes.
	Output io.Writer
}

// Remove ends the processes first, so that none writes anything again. What fails does not keep the rest.
func (r Remover) Remove(ctx context.Context) error {
	if err := r.end(ctx); err != nil {
		return err
	}
	return errors.Join(r.labels(ctx), r.derived(ctx), r.placeholders(ctx), r.own(ctx))
}

// end deletes the Deployments of webhook, reserver and second scheduler, and waits until their pods are gone.
func (r Remover) end(ctx context.Context) error {
	deployments := r.Client.AppsV1().Deployments(r.Namespace)
	for _, name := range []string{"forewarm-webhook", "forewarm-reserver", "forewarm-scheduler"} {
		if err := r.gone("Deployment", r.Namespace, name, deployments.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})); err != nil {
			return err
		}
	}
	pods, left := r.Client.CoreV1().Pods(r.Namespace), 0
	err := wait.PollUntilContextTimeout(ctx, time.Second, patience, true, func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: writers})
		if err != nil {
			return false, err
		}
		left = len(list.Items)
		for i := range list.Items {
			err := pods.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{GracePeriodSeconds: new(grace)})
			if err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
		}
		return left == 0, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("%d pods of Forewarm in namespace %s have not ended: see why, as their nodes may be gone, and try again", left, r.Namespace)
	}
	if err != nil {
		return fmt.Errorf("end the processes in namespace %s: %w", r.Namespace, err)
	}
	return nil
}

// labels removes those that the webhook writes on Namespaces.
func (r Remover) labels(ctx context.Context) error {
	var failed error
	for _, label := range []string{v1alpha1.LabelCeilings, v1alpha1.LabelTotals} {
		list, err := r.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: label})
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("list Namespaces: %w", err))
			continue
		}
		body := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, label)
		for i := range list.Items {
			name := list.Items[i].Name
			_, err := r.Client.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{})
			failed = errors.Join(failed, r.gone("label "+label+" of Namespace", "", name, err))
		}
	}
	return failed
}

// derived deletes the objects of ours that only say again what is written elsewhere. What people wrote, and
// what was recorded, stays as long as its CRD.
func (r Remover) derived(ctx context.Context) error {
	var failed error
	for _, resource := range []string{"ceilingsets", "ledgers"} {
		objects := r.Objects.Resource(v1alpha1.GroupVersion.WithResource(resource))
		list, err := objects.List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("list %s: %w", resource, err))
			continue
		}
		for i := range list.Items {
			o := &list.Items[i]
			err := objects.Namespace(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
			failed = errors.Join(failed, r.gone(o.GetKind(), o.GetNamespace(), o.GetName(), err))
		}
	}
	return failed
}

// placeholders deletes the placeholder pods, and what bounds them.
func (r Remover) placeholders(ctx context.Context) error {
	const name, own = v1alpha1.PlaceholderPriorityClass, v1alpha1.PlaceholderNamespace
	if _, err := r.Client.CoreV1().Namespaces().Get(ctx, own, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return nil // without a reserver there is none
	}
	pods := r.Client.CoreV1().Pods(own)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelPool})
	if err != nil {
		return fmt.Errorf("list placeholder pods: %w", err)
	}
	var failed error
	for i := range list.Items {
		pod := list.Items[i].Name
		failed = errors.Join(failed, r.gone("placeholder Pod", own, pod, pods.Delete(ctx, pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})))
	}
	failed = errors.Join(failed, r.gone("ResourceQuota", own, name, r.Client.CoreV1().ResourceQuotas(own).Delete(ctx, name, metav1.DeleteOptions{})))
	for _, class := range v1alpha1.PlaceholderClasses() {
		failed = errors.Join(failed, r.gone("PriorityClass", "", class, r.Client.SchedulingV1().PriorityClasses().Delete(ctx, class, metav1.DeleteOptions{})))
	}
	return failed
}

// own deletes what the processes keep for themselves in their namespace.
func (r Remover) own(ctx context.Context) error {
	const ca = "forewarm-webhook-ca"
	failed := r.gone("Secret", r.Namespace, ca, r.Client.CoreV1().Secrets(r.Namespace).Delete(ctx, ca, metav1.DeleteOptions{}))
	for _, lease := range []string{"forewarm-webhook", "forewarm-reserver", "forewarm-scheduler"} {
		failed = errors.Join(failed, r.gone("Lease", r.Namespace, lease, r.Client.CoordinationV1().Leases(r.Namespace).Delete(ctx, lease, metav1.DeleteOptions{})))
	}
	return failed
}

// gone tells what became of one removal; nothing that was not there is told of.
func (r Remover) gone(what, namespace, name string, err error) error {
	if namespace != corev1.NamespaceAll {
		name = namespace + "/" + name
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s %s: %w", what, name, err)
	}
	_, err = fmt.Fprintf(r.Output, "removed %s %s\n", what, name)
	return err
}
