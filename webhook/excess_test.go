package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExcesses(t *testing.T) {
	replicas := Setting{On: Object{Kind: "Namespace", Name: "team"}, Annotation: MaxTotalReplicas, Set: true, Value: "10"}
	gpus := Setting{On: replicas.On, Annotation: MaxGPUs, Set: true, Value: "eight", LastGood: new("8")}
	unread := Setting{On: replicas.On, Annotation: MaxGPUs, Set: true, Value: "eight"}
	for name, c := range map[string]struct {
		standing Amounts
		settings []Setting
		want     []string
	}{
		"none set":  {Amounts{Replicas: 99}, nil, nil},
		"at it":     {Amounts{Replicas: 10}, []Setting{replicas}, nil},
		"above one": {Amounts{Replicas: 11, GPUs: 8}, []Setting{replicas, gpus}, []string{`11 replicas stand, at most 10 in all allowed by annotation forewarm.dev/max-total-replicas="10" on Namespace team`}},
		"above the last good": {Amounts{GPUs: 9}, []Setting{replicas, gpus}, []string{
			`9 GPUs stand, at most 8 in all allowed by annotation forewarm.dev/max-gpus="eight" on Namespace team (malformed; its last good value, 8, stays in force)`,
		}},
		"never read": {Amounts{GPUs: 9}, []Setting{unread}, nil},
	} {
		var got []string
		for _, e := range (Ledger{Standing: c.standing, Entries: map[Key]Entry{"deployments.apps/web": {Amounts: Amounts{Replicas: 100}}}}).Excesses(c.settings) {
			got = append(got, e.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
