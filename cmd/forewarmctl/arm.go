package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/limits"
	"forewarm.dev/webhook/registration"
	"forewarm.dev/webhook/twin"
)

// admission is what forewarmctl takes out of the API server and has put back.
type admission struct {
	client    kubernetes.Interface
	objects   dynamic.Interface
	namespace string
	output    io.Writer
}

func admissionFor(c *cobra.Command, namespace string) (admission, error) {
	restConfig, err := connection.REST(c)
	if err != nil {
		return admission{}, err
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return admission{}, err
	}
	objects, err := dynamic.NewForConfig(restConfig)
	return admission{client, objects, namespace, c.OutOrStdout()}, err
}

func disarmCommand() *cobra.Command {
	var namespace, reason string
	c := &cobra.Command{
		Use:   "disarm",
		Short: "Take Forewarm out of admission, at once",
		Long: `Delete Forewarm's webhook configurations and admission policies, and keep its processes from
writing them again until "forewarmctl arm". Ceilings are then not held: autoscalers get back
the bounds that were brought under one, and the limits of nodes and quotas of GPUs that were
generated are taken back. It works while no process of Forewarm's runs: the API server asks no webhook about
these deletions.`,
		Example: `  forewarmctl disarm --reason "admission is slow, looking into it"`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := admissionFor(c, namespace)
			if err != nil {
				return err
			}
			return a.disarm(c.Context(), reason)
		},
	}
	c.Flags().StringVar(&namespace, "namespace", v1alpha1.SystemNamespace, "Forewarm's own namespace")
	c.Flags().StringVar(&reason, "reason", "", "why, for those who find it disarmed")
	return c
}

func armCommand() *cobra.Command {
	var namespace string
	c := &cobra.Command{
		Use:     "arm",
		Short:   "Put Forewarm back into admission",
		Long:    `Undo "forewarmctl disarm", and wait until a webhook has written its configurations again.`,
		Example: `  forewarmctl arm`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := admissionFor(c, namespace)
			if err != nil {
				return err
			}
			return a.arm(c.Context())
		},
	}
	c.Flags().StringVar(&namespace, "namespace", v1alpha1.SystemNamespace, "Forewarm's own namespace")
	return c
}

// disarm leaves the mark before it deletes: a process that is just writing is overtaken by
// deleting again until all has stayed away for a while. Where the mark cannot be left, it deletes
// all the same.
func (a admission) disarm(ctx context.Context, reason string) error {
	mark := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: v1alpha1.DisarmedConfigMap},
		Data:       map[string]string{"reason": reason, "since": time.Now().UTC().Format(time.RFC3339)},
	}
	_, unmarked := a.client.CoreV1().ConfigMaps(a.namespace).Create(ctx, mark, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(unmarked) {
		unmarked = nil
	}
	if unmarked != nil {
		unmarked = fmt.Errorf("leave the mark that keeps Forewarm disarmed: %w; what runs of it writes itself into admission again, so end it, or make the namespace and try again", unmarked)
	}
	quiet := 0
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		gone, err := a.remove(ctx)
		if err != nil {
			return false, err
		}
		if quiet++; gone > 0 {
			quiet = 0
		}
		return quiet >= 4, nil
	})
	return errors.Join(unmarked, err, a.restoreAll(ctx), a.release(ctx))
}

// release takes back the native limits that follow max-nodes, and the quotas that follow max-gpus.
func (a admission) release(ctx context.Context) error {
	released, err := limits.Release(ctx, a.objects)
	quotas, failed := ledger.Release(ctx, a.client.CoreV1())
	err = errors.Join(err, failed)
	for _, what := range append(released, quotas...) {
		_, failed := fmt.Fprintf(a.output, "took back %s\n", what)
		err = errors.Join(err, failed)
	}
	return err
}

// remove deletes what is there, and says how much that was.
func (a admission) remove(ctx context.Context) (int, error) {
	api, all := a.client.AdmissionregistrationV1(), metav1.DeleteOptions{}
	gone := 0
	type removal struct {
		kind, name string
		remove     func(context.Context, string, metav1.DeleteOptions) error
	}
	removals := []removal{
		{"ValidatingWebhookConfiguration", registration.Name, api.ValidatingWebhookConfigurations().Delete},
		{"MutatingWebhookConfiguration", registration.Name, api.MutatingWebhookConfigurations().Delete},
	}
	for _, name := range twin.Names() { // an API server that has no mutating policies finds none
		removals = append(removals,
			removal{"ValidatingAdmissionPolicyBinding", name, api.ValidatingAdmissionPolicyBindings().Delete},
			removal{"ValidatingAdmissionPolicy", name, api.ValidatingAdmissionPolicies().Delete},
			removal{"MutatingAdmissionPolicyBinding", name, api.MutatingAdmissionPolicyBindings().Delete},
			removal{"MutatingAdmissionPolicy", name, api.MutatingAdmissionPolicies().Delete})
	}
	for _, one := range removals {
		err := one.remove(ctx, one.name, all)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return gone, fmt.Errorf("delete %s %s: %w", one.kind, one.name, err)
		}
		gone++
		if _, err := fmt.Fprintf(a.output, "deleted %s %s\n", one.kind, one.name); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

func (a admission) arm(ctx context.Context) error {
	err := a.client.CoreV1().ConfigMaps(a.namespace).Delete(ctx, v1alpha1.DisarmedConfigMap, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		_, err = fmt.Fprintln(a.output, "Forewarm was not disarmed")
		return err
	}
	if err != nil {
		return fmt.Errorf("remove the mark that keeps Forewarm disarmed: %w", err)
	}
	_, _ = fmt.Fprintln(a.output, "waiting for a webhook to write its configurations again, up to two minutes")
	err = wait.PollUntilContextTimeout(ctx, time.Second, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		for _, get := range []func() error{
			func() error {
				_, err := a.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, registration.Name, metav1.GetOptions{})
				return err
			},
			func() error {
				_, err := a.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, registration.Name, metav1.GetOptions{})
				return err
			},
		} {
			if err := get(); apierrors.IsNotFound(err) {
				return false, nil
			} else if err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("no webhook wrote its configurations: see whether one runs and is ready in namespace %s", a.namespace)
	}
	if err == nil {
		_, err = fmt.Fprintln(a.output, "armed")
	}
	return err
}
