package ledger

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/webhook"
)

// TestQuotaIsKept: the quota is written where it is not as it should be, and not while disarmed.
func TestQuotaIsKept(t *testing.T) {
	o := KeeperOptions{Claims: claimed{}}
	right, err := newTerm(o, nil).hard(t.Context(), 2000, 0)
	if err != nil {
		t.Fatal(err)
	}
	edited := right.DeepCopy()
	edited["requests.nvidia.com/gpu"] = resource.MustParse("9k")
	more, err := newTerm(o, nil).hard(t.Context(), 2000, 3000)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[corev1.ResourceName]int64{"requests.nvidia.com/gpu": 3000, "gpu.nvidia.com.deviceclass.resource.k8s.io/devices": 2000} {
		if got := more[name]; got.Value() != want {
			t.Errorf("%s of 3000 that stand: %v, want %d", name, got, want)
		}
	}
	holder := Holder{Namespace, "team"}
	for name, c := range map[string]struct {
		total    string
		mode     string
		standing int64
		there    corev1.ResourceList
		disarmed bool
		want     []string
	}{
		"missing":               {total: "2000", want: []string{"patch"}},
		"right":                 {total: "2000", there: right},
		"edited":                {total: "2000", there: edited, want: []string{"patch"}},
		"a number of no sense":  {total: "many", there: edited},
		"disarmed":              {total: "2000", disarmed: true},
		"no total":              {there: right, want: []string{"delete"}},
		"less stands":           {total: "2000", standing: 1999, there: right},
		"more stands":           {total: "2000", standing: 3000, there: right, want: []string{"patch"}},
		"less than that stands": {total: "2000", standing: 1000, there: more, want: []string{"patch"}},
		"the mode enforce":      {total: "2000", mode: "enforce", want: []string{"patch"}},
		"the mode warn":         {total: "2000", mode: "warn", there: right, want: []string{"delete"}},
		"the mode audit":        {total: "2000", mode: "audit"},
		"a mode of no sense":    {total: "2000", mode: "sometimes", there: right},
		"no total and no quota": {},
	} {
		t.Run(name, func(t *testing.T) {
			var existing []runtime.Object
			if c.there != nil {
				existing = append(existing, quotaWith(c.there))
			}
			clients := fake.NewClientset(existing...)
			o.Quotas, o.Live = clients.CoreV1(), dynamicfake.NewSimpleDynamicClient(scheme.Scheme, existing...)
			o.Disarmed = func(context.Context) (bool, error) { return c.disarmed, nil }
			term := newTerm(o, nil)
			defer term.queue.ShutDown()
			shownQuotas(t, term)
			term.holding(holder).devices = c.standing
			namespace := &metav1.ObjectMeta{Name: "team"}
			if c.total != "" {
				namespace.Annotations = map[string]string{webhook.MaxGPUs: c.total}
			}
			if c.mode != "" {
				namespace.Annotations[webhook.CeilingMode] = c.mode
			}
			if err := term.boundPods(t.Context(), holder, namespace); err != nil {
				t.Fatal(err)
			}
			var verbs []string
			for _, action := range clients.Actions() {
				verbs = append(verbs, action.GetVerb())
			}
			if diff := cmp.Diff(c.want, verbs); diff != "" {
				t.Errorf("requests:\n%s", diff)
			}
			if len(verbs) == 0 || verbs[0] != "patch" {
				return
			}
			quota, err := clients.CoreV1().ResourceQuotas("team").Get(t.Context(), quotaName, metav1.GetOptions{})
			want := right
			if c.standing > 2000 {
				want = more
			}
			if err != nil || !apiequality.Semantic.DeepEqual(quota.Spec.Hard, want) {
				t.Errorf("hard %v (%v), want %v", quota.Spec.Hard, err, want)
			}
		})
	}
}

// TestQuotaIsWatched: a change of what a quota allows, and its end, have the Namespace looked at;
// a change of what is used has not.
func TestQuotaIsWatched(t *testing.T) {
	quota := quotaWith(corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("8")})
	live := dynamicfake.NewSimpleDynamicClient(scheme.Scheme, quota)
	term := newTerm(KeeperOptions{Live: live}, nil)
	defer term.queue.ShutDown()
	shownQuotas(t, term)
	holder, api := Holder{Namespace, "team"}, live.Resource(resourceOf(quotas)).Namespace("team")
	term.holding(holder)
	write := func() {
		body, err := runtime.DefaultUnstructuredConverter.ToUnstructured(quota)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Update(t.Context(), &unstructured.Unstructured{Object: body}, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	looked := func() {
		t.Helper()
		h, _ := term.queue.Get()
		term.queue.Done(h)
		if h != holder {
			t.Errorf("looked at %s, want %s", h, holder)
		}
	}
	quota.Status.Used = quota.Spec.Hard.DeepCopy()
	write()
	quota.Spec.Hard["requests.nvidia.com/gpu"] = resource.MustParse("9")
	write()
	looked() // at the edit: the queue has one, as events come in order
	if err := api.Delete(t.Context(), quotaName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	looked()
}

func quotaWith(hard corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: quotaName}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}
}

// shownQuotas waits until the watch of quotas shows everything.
func shownQuotas(t *testing.T, term *term) {
	t.Helper()
	w, err := term.watches.ensure(t.Context(), quotas)
	if err != nil {
		t.Fatal(err)
	}
	if !toolscache.WaitForCacheSync(t.Context().Done(), w.informer.HasSynced) {
		t.Fatal("the watch of quotas shows nothing")
	}
}
