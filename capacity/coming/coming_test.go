package coming

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
)

const gpu = "nvidia.com/gpu"

var noon = time.Date(2026, 11, 29, 12, 0, 30, 0, time.UTC)

func cronJob(name, schedule string, edit ...func(*batchv1.CronJob)) *batchv1.CronJob {
	job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	job.Spec.Schedule = schedule
	for _, e := range edit {
		e(job)
	}
	return job
}

// told are the runs as "12:05 name ×3".
func told(pods []Pods) string {
	var all []string
	for _, p := range pods {
		all = append(all, fmt.Sprintf("%s %s ×%d", p.At.UTC().Format("15:04"), p.Pod.Name, p.Count))
	}
	return strings.Join(all, ", ")
}

func TestRunsOfCronJobs(t *testing.T) {
	for name, c := range map[string]struct {
		job  *batchv1.CronJob
		want string
	}{
		"once":                   {cronJob("a", "5 12 * * *"), "12:05 a ×1"},
		"too late":               {cronJob("a", "21 12 * * *"), ""},
		"at the end":             {cronJob("a", "20 12 * * *"), "12:20 a ×1"},
		"of this very minute":    {cronJob("a", "0 12 * * *"), ""},
		"only the next":          {cronJob("a", "* * * * *"), "12:01 a ×1"},
		"one is on":              {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Status.Active = []corev1.ObjectReference{{}} }), ""},
		"goes":                   {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.DeletionTimestamp = &metav1.Time{Time: noon} }), ""},
		"elsewhere":              {cronJob("a", "5 13 * * *", func(j *batchv1.CronJob) { j.Spec.TimeZone = new("Europe/Berlin") }), "12:05 a ×1"},
		"suspended":              {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.Suspend = new(true) }), ""},
		"its Jobs are suspended": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.JobTemplate.Spec.Suspend = new(true) }), ""},
		"its Jobs are not":       {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.JobTemplate.Spec.Suspend = new(false) }), "12:01 a ×1"},
		"for a queue of Kueue's": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "q"}
		}), ""},
		"its pods are queued": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Spec.Template.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "q"}
		}), ""},
		"no schedule":  {cronJob("a", "at noon"), ""},
		"no such zone": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.TimeZone = new("Mars/Base") }), ""},
		"several at once": {cronJob("a", "@hourly", func(j *batchv1.CronJob) {
			j.Spec.Schedule, j.Spec.JobTemplate.Spec.Parallelism = "5 * * * *", new(int32(4))
		}), "12:05 a ×4"},
		"fewer than could": {cronJob("a", "5 * * * *", func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Spec.Parallelism, j.Spec.JobTemplate.Spec.Completions = new(int32(4)), new(int32(3))
		}), "12:05 a ×3"},
	} {
		var got string
		if run, ok := next(c.job, noon, noon.Add(19*time.Minute+30*time.Second)); ok {
			got = told([]Pods{run})
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func kueueWorkload(name string, active bool, conditions string, counts ...int64) *unstructured.Unstructured {
	object := map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload", "metadata": map[string]any{"namespace": "ml", "name": name},
		"spec": map[string]any{"active": active, "podSets": []any{
			map[string]any{"name": "main", "count": int64(4), "template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c"}}}}},
		}},
	}
	var said []any
	for condition := range strings.FieldsSeq(conditions) {
		said = append(said, map[string]any{"type": condition, "status": "True"})
	}
	status := map[string]any{"conditions": said}
	for _, count := range counts {
		status["admission"] = map[string]any{"podSetAssignments": []any{map[string]any{"name": "main", "count": count}}}
	}
	object["status"] = status
	return &unstructured.Unstructured{Object: object}
}

func newClient(t *testing.T, kueue bool, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	if kueue {
		version := schema.GroupVersion{Group: "kueue.x-k8s.io", Version: "v1beta1"}
		mapper = meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
		for kind, scope := range map[string]meta.RESTScope{"Workload": meta.RESTScopeNamespace, "AdmissionCheck": meta.RESTScopeRoot} {
			scheme.AddKnownTypeWithName(version.WithKind(kind), &unstructured.Unstructured{})
			scheme.AddKnownTypeWithName(version.WithKind(kind+"List"), &unstructured.UnstructuredList{})
			mapper.Add(version.WithKind(kind), scope)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(objects...).Build()
}

// paged is a client that answers lists of Workloads one by one.
type paged struct{ client.Client }

// List implements client.Reader.
func (p paged) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if err := p.Client.List(ctx, list, options...); err != nil {
		return err
	}
	items, ok := list.(*unstructured.UnstructuredList)
	asked := (&client.ListOptions{}).ApplyOptions(options)
	if !ok || asked.Limit == 0 {
		return nil
	}
	at, _ := strconv.Atoi(asked.Continue)
	if at+1 < len(items.Items) {
		items.SetContinue(strconv.Itoa(at + 1))
	}
	items.Items = items.Items[at:min(at+1, len(items.Items))]
	return nil
}

func find(t *testing.T, f *Finder, now time.Time) string {
	t.Helper()
	got, err := f.Find(t.Context(), now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return told(got.Pods)
}

func TestFindWorkloads(t *testing.T) {
	check := func(name, controller string) client.Object {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "AdmissionCheck", "metadata": map[string]any{"name": name}, "spec": map[string]any{"controllerName": controller},
		}}
	}
	checked := func(name string, checks ...string) *unstructured.Unstructured {
		w := kueueWorkload(name, true, "QuotaReserved")
		var states []any
		for _, check := range checks {
			states = append(states, map[string]any{"name": check, "state": "Pending"})
		}
		w.Object["status"].(map[string]any)["admissionChecks"] = states
		return w
	}
	c := newClient(t, true,
		kueueWorkload("waits", true, ""), kueueWorkload("has-quota", true, "QuotaReserved"), kueueWorkload("fewer", true, "QuotaReserved", 3),
		kueueWorkload("admitted", true, "QuotaReserved Admitted"), kueueWorkload("finished", true, "QuotaReserved Finished"),
		kueueWorkload("evicted", true, "QuotaReserved Evicted"), kueueWorkload("inactive", false, "QuotaReserved"),
		checked("checked", "budget"), checked("bought-for", "budget", "buy"), checked("far", "far"),
		check("budget", "example.com/budget"), check("buy", "kueue.x-k8s.io/provisioning-request"), check("far", "kueue.x-k8s.io/multikueue"),
		cronJob("cron", "5 12 * * *"),
	)
	f := NewFinder(c, paged{c})
	if got, want := find(t, f, noon), "12:00 checked ×4, 12:00 fewer ×3, 12:00 has-quota ×4, 12:05 cron ×1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// What is admitted does not count a moment longer, since its pods do; what has got its quota counts soon.
	admitted, late := kueueWorkload("fewer", true, "QuotaReserved Admitted", 3), kueueWorkload("late", true, "QuotaReserved")
	for _, err := range []error{c.Delete(t.Context(), admitted), c.Create(t.Context(), admitted), c.Delete(t.Context(), checked("checked")), c.Create(t.Context(), late)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := find(t, f, noon.Add(time.Second)), "12:00 has-quota ×4, 12:05 cron ×1"; got != want {
		t.Errorf("a second later: %q, want %q", got, want)
	}
	if got, want := find(t, f, noon.Add(lookAgain)), "12:01 has-quota ×4, 12:01 late ×4, 12:05 cron ×1"; got != want {
		t.Errorf("when looked through again: %q, want %q", got, want)
	}
	if got := find(t, NewFinder(newClient(t, false), newClient(t, false)), noon); got != "" {
		t.Errorf("without Kueue: %s", got)
	}
}

// TestFindGoesOn: an informer that never has its objects, since the right to list them is missing, holds
// nobody up for longer than a moment, and not each time.
func TestFindGoesOn(t *testing.T) {
	for _, of := range []client.ObjectList{&batchv1.CronJobList{}, &corev1.ResourceQuotaList{}} {
		synctest.Test(t, func(t *testing.T) {
			stuck := interceptor.NewClient(newClient(t, false, cronJob("cron", "5 12 * * *")).(client.WithWatch), interceptor.Funcs{
				List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
					if reflect.TypeOf(list) == reflect.TypeOf(of) {
						<-ctx.Done()
						return ctx.Err()
					}
					return c.List(ctx, list, options...)
				},
			})
			f, started := NewFinder(stuck, stuck), time.Now()
			if got, err := f.Find(t.Context(), noon, noon.Add(time.Hour)); err == nil || len(got.Pods) > 0 {
				t.Errorf("%T: %v, %v", of, got, err)
			}
			if got, err := f.Find(t.Context(), noon.Add(lookAgain-1), noon.Add(time.Hour)); err != nil || len(got.Pods) > 0 {
				t.Errorf("%T, soon again: %v, %v", of, got, err)
			}
			if took := time.Since(started); took != patience {
				t.Errorf("%T: took %s, want %s", of, took, patience)
			}
			if _, err := f.Find(t.Context(), noon.Add(lookAgain), noon.Add(time.Hour)); err == nil {
				t.Errorf("%T: it is not tried again", of)
			}
		})
	}
}

// TestWhatWasKnownLastCountsWhileItCannotBeRead, less the runs that have begun, and not for ever.
func TestWhatWasKnownLastCountsWhileItCannotBeRead(t *testing.T) {
	var broken error
	c := interceptor.NewClient(newClient(t, true, kueueWorkload("has-quota", true, "QuotaReserved"), cronJob("soon", "5 12 * * *"), cronJob("later", "30 13 * * *")).(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if broken != nil {
				return broken
			}
			return c.List(ctx, list, options...)
		},
	})
	f := NewFinder(c, c)
	look := func(after time.Duration, want string, stale, fails bool) {
		t.Helper()
		got, err := f.Find(t.Context(), noon.Add(after), noon.Add(after+3*time.Hour))
		if told(got.Pods) != want || got.Stale != stale || (err != nil) != fails {
			t.Errorf("after %s: %q, stale %t, %v; want %q, %t, failed %t", after, told(got.Pods), got.Stale, err, want, stale, fails)
		}
		_, is, reason, says := got.Condition()
		meanwhile := map[bool]string{true: " counts until ", false: "nothing that is known to start counts"}[stale]
		switch { // also where it is not tried again at once, and where what was known has lost its worth
		case broken == nil && (is || says != "" || reason != v1alpha1.ReasonFutureRead):
			t.Errorf("after %s the condition is %t %s %q, want that all was read", after, is, reason, says)
		case broken != nil && (!is || reason != v1alpha1.ReasonFutureSourceFailed || !strings.Contains(says, "no answer: ") || !strings.Contains(says, meanwhile)):
			t.Errorf("after %s the condition is %t %s %q, want why, and %q", after, is, reason, says, meanwhile)
		}
	}
	look(0, "12:00 has-quota ×4, 12:05 soon ×1, 13:30 later ×1", false, false)
	broken = errors.New("no answer")
	look(time.Minute, "12:00 has-quota ×4, 12:05 soon ×1, 13:30 later ×1", true, true)
	look(time.Minute+time.Second, "12:00 has-quota ×4, 12:05 soon ×1, 13:30 later ×1", true, false)
	look(10*time.Minute, "12:00 has-quota ×4, 13:30 later ×1", true, true)
	look(lasts, "", false, true)
	broken = nil
	look(lasts+lookAgain, "13:01 has-quota ×4, 13:30 later ×1", false, false)
	broken = errors.New("no answer")
	look(2*lasts, "13:01 has-quota ×4", true, true)

	f = NewFinder(c, c) // a new leader that has not seen it yet knows nothing, and knows that
	look(0, "", true, true)
	look(lasts, "", false, true)
}

func TestAllowances(t *testing.T) {
	quota := func(namespace, name, hard, used string, edit ...func(*corev1.ResourceQuota)) client.Object {
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		q.Status.Hard = corev1.ResourceList{"requests." + gpu: resource.MustParse(hard)}
		q.Status.Used = corev1.ResourceList{"requests." + gpu: resource.MustParse(used)}
		for _, e := range edit {
			e(q)
		}
		return q
	}
	namespace := func(name, ceiling string) client.Object {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha1.AnnotationMaxGPUs: ceiling}}}
	}
	scoped := func(q *corev1.ResourceQuota) {
		q.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	}
	pod := func(namespace string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
		p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{gpu: resource.MustParse("3")}}}}
		return p
	}
	c := newClient(t, false,
		quota("two", "a", "8", "2"), quota("two", "b", "5", "1"), quota("scoped", "a", "0", "0", scoped),
		cronJob("cron", "5 12 * * *"), namespace("ceiling", "10"), namespace("unread", "ten"), namespace("both", "4"), quota("both", "a", "8", "0"),
	)
	future, err := NewFinder(c, c).Find(t.Context(), noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	allowed := future.Allowance(gpu, []*corev1.Pod{pod("both-not"), pod("ceiling"), pod("ceiling"), pod("two")})
	for name, want := range map[string]float64{"two": 4, "ceiling": 4, "unread": 0, "both": 4} {
		if got := allowed(name); got == nil || *got != want {
			t.Errorf("namespace %s is left %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"scoped", "unknown"} {
		if got := allowed(name); got != nil {
			t.Errorf("namespace %s is bounded by %v", name, *got)
		}
	}
}
