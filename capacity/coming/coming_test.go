package coming

import (
	"fmt"
	"strings"
	"testing"
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
		"once":                 {cronJob("a", "5 12 * * *"), "12:05 a ×1"},
		"too late":             {cronJob("a", "21 12 * * *"), ""},
		"at the end":           {cronJob("a", "20 12 * * *"), "12:20 a ×1"},
		"of this very minute":  {cronJob("a", "0 12 * * *"), ""},
		"several":              {cronJob("a", "*/7 * * * *"), "12:07 a ×1, 12:14 a ×1"},
		"each minute, bounded": {cronJob("a", "* * * * *"), "12:01 a ×1, 12:02 a ×1, 12:03 a ×1, 12:04 a ×1, 12:05 a ×1, 12:06 a ×1, 12:07 a ×1, 12:08 a ×1, 12:09 a ×1, 12:10 a ×1"},
		"never together":       {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.ConcurrencyPolicy = batchv1.ForbidConcurrent }), "12:01 a ×1"},
		"one is on": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) {
			j.Spec.ConcurrencyPolicy, j.Status.Active = batchv1.ReplaceConcurrent, []corev1.ObjectReference{{}}
		}), ""},
		"elsewhere":    {cronJob("a", "5 13 * * *", func(j *batchv1.CronJob) { j.Spec.TimeZone = new("Europe/Berlin") }), "12:05 a ×1"},
		"suspended":    {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.Suspend = new(true) }), ""},
		"no schedule":  {cronJob("a", "at noon"), ""},
		"no such zone": {cronJob("a", "* * * * *", func(j *batchv1.CronJob) { j.Spec.TimeZone = new("Mars/Base") }), ""},
		"several at once": {cronJob("a", "@hourly", func(j *batchv1.CronJob) {
			j.Spec.Schedule, j.Spec.JobTemplate.Spec.Parallelism = "5 * * * *", new(int32(4))
		}), "12:05 a ×4"},
		"fewer than could": {cronJob("a", "5 * * * *", func(j *batchv1.CronJob) {
			j.Spec.JobTemplate.Spec.Parallelism, j.Spec.JobTemplate.Spec.Completions = new(int32(4)), new(int32(3))
		}), "12:05 a ×3"},
	} {
		if got := told(runs(c.job, noon, noon.Add(19*time.Minute+30*time.Second))); got != c.want {
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
		gvk := schema.GroupVersionKind{Group: "kueue.x-k8s.io", Version: "v1beta1", Kind: "Workload"}
		scheme.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
		scheme.AddKnownTypeWithName(gvk.GroupVersion().WithKind("WorkloadList"), &unstructured.UnstructuredList{})
		mapper = meta.NewDefaultRESTMapper([]schema.GroupVersion{gvk.GroupVersion()})
		mapper.Add(gvk, meta.RESTScopeNamespace)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(objects...).Build()
}

func TestListOfWorkloads(t *testing.T) {
	c := newClient(t, true,
		kueueWorkload("waits", true, ""), kueueWorkload("has-quota", true, "QuotaReserved"), kueueWorkload("fewer", true, "QuotaReserved", 3),
		kueueWorkload("admitted", true, "QuotaReserved Admitted"), kueueWorkload("finished", true, "QuotaReserved Finished"),
		kueueWorkload("evicted", true, "QuotaReserved Evicted"), kueueWorkload("inactive", false, "QuotaReserved"),
		cronJob("cron", "5 12 * * *"),
	)
	got, err := List(t.Context(), c, c, noon, noon.Add(time.Hour))
	if want := "12:00 fewer ×3, 12:00 has-quota ×4, 12:05 cron ×1"; err != nil || told(got) != want {
		t.Errorf("%q, %v; want %q", told(got), err, want)
	}
	none := newClient(t, false)
	if got, err := List(t.Context(), none, none, noon, noon.Add(time.Hour)); err != nil || len(got) > 0 {
		t.Errorf("without Kueue: %v, %v", got, err)
	}
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
		namespace("ceiling", "10"), namespace("unread", "ten"), namespace("both", "4"), quota("both", "a", "8", "0"),
	)
	allowed, err := Allowances(t.Context(), c, gpu, []*corev1.Pod{pod("ceiling"), pod("ceiling"), pod("two")})
	if err != nil {
		t.Fatal(err)
	}
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
