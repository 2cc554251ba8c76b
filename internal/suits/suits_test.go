package suits

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhereAPodMayRun(t *testing.T) {
	taint := func(key string, effect corev1.TaintEffect) corev1.NodeSpec {
		return corev1.NodeSpec{Taints: []corev1.Taint{{Key: key, Effect: effect}}}
	}
	tolerates := func(key string) corev1.PodSpec {
		return corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists}}}
	}
	in := func(operator corev1.NodeSelectorOperator, values ...string) corev1.PodSpec {
		return corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: operator, Values: values}}}},
		}}}}
	}
	const labels = "the pod's node selector or node affinity does not match it"
	for name, c := range map[string]struct {
		pod  corev1.PodSpec
		node corev1.NodeSpec
		want string
	}{
		"nothing is asked":           {corev1.PodSpec{}, corev1.NodeSpec{}, ""},
		"its selector":               {corev1.PodSpec{NodeSelector: map[string]string{"pool": "a100"}}, corev1.NodeSpec{}, ""},
		"another selector":           {corev1.PodSpec{NodeSelector: map[string]string{"pool": "h100"}}, corev1.NodeSpec{}, labels},
		"its affinity":               {in(corev1.NodeSelectorOpIn, "h100", "a100"), corev1.NodeSpec{}, ""},
		"another affinity":           {in(corev1.NodeSelectorOpNotIn, "a100"), corev1.NodeSpec{}, labels},
		"an affinity out of order":   {in("Near", "a100"), corev1.NodeSpec{}, labels},
		"a taint":                    {corev1.PodSpec{}, taint("maintenance", corev1.TaintEffectNoSchedule), "the pod does not tolerate its taint maintenance"},
		"a taint that evicts":        {corev1.PodSpec{}, taint("broken", corev1.TaintEffectNoExecute), "the pod does not tolerate its taint broken"},
		"a taint that is tolerated":  {tolerates("maintenance"), taint("maintenance", corev1.TaintEffectNoSchedule), ""},
		"a taint that only asks":     {corev1.PodSpec{}, taint("later", corev1.TaintEffectPreferNoSchedule), ""},
		"cordoned":                   {corev1.PodSpec{}, corev1.NodeSpec{Unschedulable: true}, "it is cordoned"},
		"cordoned, and it may there": {tolerates(corev1.TaintNodeUnschedulable), corev1.NodeSpec{Unschedulable: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"pool": "a100"}}, Spec: c.node}
			got := Of(&corev1.Pod{Spec: c.pod})(node)
			if got.String() != c.want || (got == Misfit{}) != (c.want == "") {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
