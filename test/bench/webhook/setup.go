package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/webhook"
)

// bench is everything that runs, and what it has measured.
type bench struct {
	settings settings
	// patience is how long something is waited for.
	patience time.Duration
	progress func(format string, args ...any)
	root     string

	cluster  *cluster.Cluster
	api      *http.Client
	apiURL   string
	apiPID   int
	host     string
	identity identity
	hooks    map[string]*hook
	// registered is all that Forewarm registers with the API server, by type and name.
	registered map[string]client.Object
	// reviews are what the API server sent for each write.
	reviews map[writeName][]byte
}

// connect brings a control plane up. The caller stops the cluster, and with it all of it.
func (b *bench) connect(ctx context.Context) error {
	store, err := assets.Open()
	if err != nil {
		return err
	}
	b.root, b.hooks, b.registered = store.Root, map[string]*hook{}, map[string]client.Object{}
	b.progress("starting etcd and the API server")
	if b.cluster, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return err
	}
	config := b.cluster.RESTConfig()
	if b.api, err = rest.HTTPClientFor(config); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	b.apiURL, b.apiPID = config.Host, b.cluster.ProcessOf(assets.APIServer).PID()
	b.host = loopbackHost(ctx)
	if b.identity, err = newIdentity(b.cluster.Dir, b.host); err != nil {
		return err
	}
	return b.objects(ctx)
}

// start brings everything up.
func (b *bench) start(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	b.progress("building and starting the webhooks; the API server knows them as %s", b.host)
	steps := []func(context.Context) error{
		b.build,
		func(ctx context.Context) error { return b.startPeer(ctx, noop) },
		func(ctx context.Context) error { return b.startPeer(ctx, typed) },
		b.startForewarm,
		b.record,
	}
	if b.settings.peers {
		steps = append(steps, b.startGatekeeper, b.startKyverno)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.progress("reviews: Deployment %d bytes, /scale %d, pod %d", len(b.reviews[update]), len(b.reviews[scale]), len(b.reviews[pod]))
	return nil
}

// objects makes what is written to, with its ceilings.
func (b *bench) objects(ctx context.Context) error {
	spaces := []*corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}},
		{ObjectMeta: metav1.ObjectMeta{Name: namespace, Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: fmt.Sprint(namespaceCeiling)}}},
		{ObjectMeta: metav1.ObjectMeta{Name: totalsNamespace, Annotations: map[string]string{webhook.MaxTotalReplicas: fmt.Sprint(countedMost)}}},
	}
	for _, space := range spaces {
		if err := b.cluster.CreateNamespace(ctx, space); err != nil {
			return err
		}
	}
	if err := b.cluster.Client.Create(ctx, deployment()); err != nil {
		return fmt.Errorf("create the Deployment: %w", err)
	}
	return nil
}

// strip takes the rules of an API group out of a ClusterRole.
func (b *bench) strip(ctx context.Context, role *rbacv1.ClusterRole, group string) error {
	if err := b.cluster.Client.Get(ctx, client.ObjectKeyFromObject(role), role); err != nil {
		return fmt.Errorf("get ClusterRole %s: %w", role.Name, err)
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.APIGroups, group) })
	if err := b.cluster.Client.Update(ctx, role); err != nil {
		return fmt.Errorf("update ClusterRole %s: %w", role.Name, err)
	}
	return nil
}

// takeRegistered moves all that Forewarm has registered out of the API server; nobody else has
// registered anything yet. It fails once after it has moved something, since a write of
// Forewarm's may just have been under way.
func (b *bench) takeRegistered(ctx context.Context) error {
	moved := 0
	for _, list := range []client.ObjectList{
		&admissionregistrationv1.ValidatingWebhookConfigurationList{}, &admissionregistrationv1.MutatingWebhookConfigurationList{},
		&admissionregistrationv1.ValidatingAdmissionPolicyList{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{},
		&admissionregistrationv1.MutatingAdmissionPolicyList{}, &admissionregistrationv1.MutatingAdmissionPolicyBindingList{},
	} {
		if err := b.cluster.Client.List(ctx, list); err != nil {
			return fmt.Errorf("list what Forewarm has registered: %w", err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return err
		}
		for _, item := range items {
			object := item.(client.Object)
			object.SetManagedFields(nil)
			if err := b.remove(ctx, []client.Object{object}); err != nil {
				return err
			}
			b.registered[fmt.Sprintf("%T %s", object, object.GetName())] = object
		}
		moved += len(items)
	}
	if moved > 0 {
		return errors.New("looking whether they stay away")
	}
	return nil
}

// registeredBy are Forewarm's objects: its webhooks alone, or all.
func (b *bench) registeredBy(webhooksOnly bool) []client.Object {
	var out []client.Object
	for _, key := range slices.Sorted(maps.Keys(b.registered)) {
		if !webhooksOnly || strings.Contains(key, "WebhookConfiguration") {
			out = append(out, b.registered[key])
		}
	}
	return out
}

// install creates objects.
func (b *bench) install(ctx context.Context, objects []client.Object) error {
	for _, o := range objects {
		created := o.DeepCopyObject().(client.Object)
		created.SetResourceVersion("")
		created.SetUID("")
		if err := b.cluster.Client.Create(ctx, created); err != nil {
			return fmt.Errorf("create %s: %w", o.GetName(), err)
		}
		if quota, is := created.(*corev1.ResourceQuota); is {
			quota.Status = o.(*corev1.ResourceQuota).Status
			if err := b.cluster.Client.Status().Update(ctx, quota); err != nil {
				return fmt.Errorf("write the status of a quota: %w", err)
			}
		}
	}
	return nil
}

// remove deletes them again.
func (b *bench) remove(ctx context.Context, objects []client.Object) error {
	for _, o := range slices.Backward(objects) {
		doomed := o.DeepCopyObject().(client.Object)
		doomed.SetResourceVersion("")
		doomed.SetUID("")
		if err := client.IgnoreNotFound(b.cluster.Client.Delete(ctx, doomed)); err != nil {
			return fmt.Errorf("delete %s: %w", o.GetName(), err)
		}
	}
	return nil
}

// insecureClient reads figures from processes of our own.
func insecureClient() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // reads figures of our own processes on loopback
}
