package handler

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestVictimsAreSwappedWhereResourcesAloneDecide: placeholders take the place of work that the scheduler
// would delete, unless the pod needs that work to go for something else, and would not fit without; then
// the scheduler's own victims stay, and nothing is deleted for it behind the scheduler's back.
func TestVictimsAreSwappedWhereResourcesAloneDecide(t *testing.T) {
	repels := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"job": "training"}}, TopologyKey: corev1.LabelHostname,
		}}}}
	}
	attached := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	scratch := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	port := func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }
	spread := func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.DoNotSchedule}}
	}
	training := func(p *corev1.Pod) { p.Labels = map[string]string{"job": "training"} }
	nothing := func(*corev1.Pod) {}
	swapped, kept := []types.UID{"hold-1"}, []types.UID{"cheap"}
	for name, test := range map[string]struct {
		work, taker func(*corev1.Pod)
		want        []types.UID
	}{
		"nothing but resources":              {nothing, nothing, swapped},
		"the work keeps such pods away":      {repels, training, kept},
		"the work keeps others away":         {repels, nothing, swapped},
		"both have volumes":                  {attached, attached, kept},
		"the work alone has volumes":         {attached, nothing, swapped},
		"the pod alone has volumes":          {nothing, attached, swapped},
		"the pod's volumes are no disks":     {attached, scratch, swapped},
		"both want a port of the host":       {port, port, kept},
		"the pod is spread over the domains": {nothing, spread, kept},
	} {
		t.Run(name, func(t *testing.T) {
			x := mixed()
			x.ServeAhead()
			work := prioritized(pod("web", "cheap", "warm-1", "6"), -20)
			test.work(work)
			x.SetPod(work)
			for i := range 2 { // one placeholder is for another pod, so that the second has to wait, or takes work
				p := taker([]string{"first", "second"}[i])
				test.taker(p)
				x.SetPod(p)
				got := victims(x, p)
				if i == 0 && !slices.Equal(got, test.want) {
					t.Errorf("%v go, want %v", got, test.want)
				}
			}
			third := taker("third")
			test.taker(third)
			x.SetPod(third)
			victims(x, third)
			later(x, patience+1)
			_, given, overdue := x.Overdue()
			_, ahead := x.Ahead()
			if slices.Equal(test.want, kept) && (overdue || ahead) {
				t.Errorf("%v are deleted for a pod that needs the work to go, ahead %t", given, ahead)
			}
		})
	}
}

// TestNobodyWaitsForRoomThatIsNotAll: a pod that needs work to go for more than its requests is not told to
// wait until placeholders that others were given are gone.
func TestNobodyWaitsForRoomThatIsNotAll(t *testing.T) {
	x := mixed()
	work := prioritized(pod("web", "cheap", "warm-1", "6"), -20)
	work.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	x.SetPod(work)
	for _, name := range []string{"first", "second"} {
		if got := victims(x, taker(name)); len(got) != 1 || got[0] == "cheap" {
			t.Fatalf("%s takes %v, want a placeholder", name, got)
		}
	}
	x.DropPod(taker("second")) // what it was given is free; first's is on its way
	x.SetPod(placeholder("hold-2", "warm-1"))
	x.claim("somebody", nil)
	large := prioritized(pod("ml", "large", "", "1"), 1)
	large.Spec.Volumes = work.Spec.Volumes
	if got := victims(x, large); !slices.Equal(got, []types.UID{"cheap"}) {
		t.Errorf("%v go, want the work alone, which has its volumes", got)
	}
}

// TestSwapsInVainEnd: something that we do not see keeps a pod off its node.
func TestSwapsInVainEnd(t *testing.T) {
	x := cluster()
	x.SetPod(prioritized(pod("web", "cheap", "warm-1", "1"), -20))
	x.DropPod(placeholder("hold-1", "warm-1"))
	for _, name := range []string{"h-1", "h-2", "h-3", "h-4", "h-5", "h-6", "h-7"} {
		x.SetPod(prioritized(placeholder(name, "warm-1"), -10))
	}
	p := taker("kept-off")
	x.SetPod(p)
	for swaps := range swapsAtMost + 2 {
		got := victims(x, p)
		if again := victims(x, p); !slices.Equal(got, again) {
			t.Fatalf("%v, and %v where the answer came too late", got, again)
		}
		if work := slices.Contains(got, "cheap"); len(got) != 1 || work != (swaps >= swapsAtMost) {
			t.Fatalf("%v go after %d swaps in vain", got, swaps)
		}
		if got[0] == "cheap" {
			continue // it is not deleted either
		}
		x.DropPod(placeholder(string(got[0]), "warm-1"))
		x.SetPod(pod("web", "filler-"+string(got[0]), "warm-1", "1")) // else the room is there
		later(x, holdFor)
	}
}
