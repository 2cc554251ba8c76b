// Command typed is the webhook as most are written: controller-runtime's validator of a
// Kubernetes type. It holds Deployments to the same annotation as Forewarm does, on the
// Deployment itself; the ceiling of the Namespace it knows by heart, which spares it a cache.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/bench/webhook/serve"
)

func main() {
	ctrl.SetLogger(logr.Discard())
	hook := admission.WithValidator(clientgoscheme.Scheme, validator{namespaceCeiling: 1000})
	reviews, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: logr.Discard(), MetricsPath: "/review"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(serve.Main(reviews))
}

type validator struct{ namespaceCeiling int64 }

// ValidateCreate holds a new Deployment to the ceiling.
func (v validator) ValidateCreate(_ context.Context, d *appsv1.Deployment) (admission.Warnings, error) {
	return nil, v.within(d, 0)
}

// ValidateUpdate holds a growth to the ceiling.
func (v validator) ValidateUpdate(_ context.Context, before, d *appsv1.Deployment) (admission.Warnings, error) {
	return nil, v.within(d, int64(ptr.Deref(before.Spec.Replicas, 1)))
}

// ValidateDelete allows.
func (v validator) ValidateDelete(context.Context, *appsv1.Deployment) (admission.Warnings, error) {
	return nil, nil
}

func (v validator) within(d *appsv1.Deployment, before int64) error {
	ceiling, asked := v.namespaceCeiling, int64(ptr.Deref(d.Spec.Replicas, 1))
	if value, set := d.Annotations[v1alpha1.AnnotationMaxReplicas]; set {
		own, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", v1alpha1.AnnotationMaxReplicas, err)
		}
		ceiling = min(ceiling, own)
	}
	if asked > ceiling && asked > before {
		return fmt.Errorf("%d replicas asked for, at most %d allowed", asked, ceiling)
	}
	return nil
}
